"""A private key for git over SSH, looked at before anything runs.

Rule 1: a key that a server of today would not take, or that asks for a passphrase, ends the run before it begins.
Rule 2: no message has a byte of a key in it.
"""

from __future__ import annotations

RSA_BITS = 2048
BEGIN = b"-----BEGIN "
ASKS = (
    "is a key with a passphrase, and nobody is there to type it: give it by a `command` that decrypts it, or use a key "
    "without one (`ssh-keygen -p -N ''` on a copy)"
)


def read_private_key(value: bytes) -> str:
    """Its text. Raises ValueError with what is wrong about it."""
    # Late: for a run without such a key it takes longer to load than all else.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    if not value.lstrip().startswith(BEGIN):
        raise ValueError("is no private key: one begins with -----BEGIN OPENSSH PRIVATE KEY-----")
    text = value.strip() + b"\n"
    load = load_ssh_private_key if b"OPENSSH" in text.split(b"\n")[0] else load_pem_private_key
    try:
        key = load(text, None)
    except TypeError:
        raise ValueError(ASKS) from None
    except (ValueError, UnsupportedAlgorithm):
        if b"ENCRYPTED" in text:
            raise ValueError(ASKS) from None
        raise ValueError(
            "is no private key that can be read; is it cut short, or for a hardware token?"
        ) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS:
        raise ValueError(f"is an RSA key of {key.key_size} bits, and servers take {RSA_BITS} at least")
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise ValueError("is a key of a type that no server takes; use Ed25519, ECDSA or RSA")
    return text.decode("ascii")
