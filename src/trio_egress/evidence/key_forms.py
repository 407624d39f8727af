"""The forms of keys by name: what a key pair is written in, and what a public key can be shown as."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trio_egress.evidence import openssh
from trio_egress.evidence.sign import (
    PublicKey,
    SigningKey,
    render_private_key,
    render_private_openssh,
    render_private_pem,
    render_public_key,
    render_public_pem,
)

PUBLIC_FORMS: Mapping[str, Callable[[PublicKey], str]] = {
    "hex": lambda key: f"{key}\n",
    "pipelock": lambda key: render_public_key(key).decode(),
    "pem": lambda key: render_public_pem(key).decode(),
    "ssh": lambda key: openssh.render_line(bytes.fromhex(key)) + "\n",
}

KEY_FORMS: Mapping[str, Callable[[SigningKey], tuple[bytes, bytes]]] = {
    "pipelock": lambda key: (render_private_key(key), render_public_key(key.public_hex)),
    "pem": lambda key: (render_private_pem(key), render_public_pem(key.public_hex)),
    "openssh": lambda key: (render_private_openssh(key), PUBLIC_FORMS["ssh"](key.public_hex).encode()),
}
"""Private and public file of each."""


def ssh_fingerprint(key: PublicKey) -> str:
    """As `ssh-keygen -l` tells it."""
    return openssh.render_fingerprint(bytes.fromhex(key))
