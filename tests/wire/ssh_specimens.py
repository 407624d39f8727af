"""Lines and packets of SSH, made up as RFC 4253 says, and what real programs sent (the fuzz corpus)."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "ssh"
"""Captured on Debian 12. Two bytes say how much of it is the client's; the server's follows, up to its reply."""

LINE = b"SSH-2.0-x\r\n"
ED25519, RSA, ECDSA = "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"
METHOD, CIPHER, MAC = "curve25519-sha256", "aes128-ctr", "hmac-sha2-256"
STRICT = ("kex-strict-c-v00@openssh.com", "kex-strict-s-v00@openssh.com")
CLIENT_PART = 30


def read_corpus(name: str) -> tuple[bytes, bytes]:
    raw = (CORPUS / name).read_bytes()
    size = int.from_bytes(raw[:2], "big")
    return raw[2 : 2 + size], raw[2 + size :]


def vector(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def packet(payload: bytes) -> bytes:
    padding = 4 + -(9 + len(payload)) % 8
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes((padding,)) + payload + bytes(padding)


def note(number: int = 2) -> bytes:
    return packet(bytes((number,)) + vector(b""))


def offer(
    methods: str = METHOD,
    keys: str = ED25519,
    ciphers: str = CIPHER,
    macs: str = MAC,
    *,
    guesses: bool = False,
    down: tuple[str, str] | None = None,
) -> bytes:
    """SSH_MSG_KEXINIT; `down`: cipher and code of the server's direction, where it is another."""
    cipher_down, mac_down = down or (ciphers, macs)
    lists = (methods, keys, ciphers, cipher_down, macs, mac_down, "none", "none", "", "")
    return packet(
        bytes((20,)) + bytes(16) + b"".join(vector(x.encode()) for x in lists) + bytes((guesses, 0, 0, 0, 0))
    )


def part(number: int = CLIENT_PART) -> bytes:
    return packet(bytes((number,)) + vector(b"e" * 32))


def key(kind: str = ED25519, *fields: bytes) -> bytes:
    return vector(kind.encode()) + b"".join(map(vector, fields or (b"k" * 32,)))


def reply(blob: bytes | None = None, signer: str = ED25519, number: int = 31, rest: bytes = b"") -> bytes:
    signature = vector(signer.encode()) + vector(b"s" * 64)
    return packet(
        bytes((number,))
        + vector(key() if blob is None else blob)
        + vector(b"f" * 32)
        + vector(signature)
        + rest
    )
