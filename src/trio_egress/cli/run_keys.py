"""The keys that a run signs with: read with the caller's rights, before anything is made."""

from __future__ import annotations

import argparse
import os

from trio_egress.errors import UsageError
from trio_egress.evidence.packet import read_private_key
from trio_egress.evidence.sign import Signer, generate
from trio_egress.kernel.identity import Identities, check_owner
from trio_egress.signer.remote import open_signer


def find_key(options: argparse.Namespace, identities: Identities) -> Signer:
    """With root's rights, if there are any: the key, or the way to a signer that has it."""
    if options.signer is not None:
        if options.key is not None:
            raise UsageError("--key and --signer: give one of them; a signer's key is the signer's to read")
        signer = open_signer(options.signer)
        for place in filter(os.path.exists, signer.hide):
            check_owner(place, identities)
        return signer
    if options.key is None:
        return generate(os.urandom(32))
    return _read_key(options.key, identities)


def find_next_keys(options: argparse.Namespace, key: Signer, identities: Identities) -> tuple[Signer, ...]:
    """In the order in which they are taken; no key comes back."""
    if not options.rotate_key_to:
        return ()
    if options.key is None:
        raise UsageError(
            "--rotate-key-to needs --key: a key of the run's own, or a signer's, endorses no other"
        )
    earlier = {key.public_hex: "--key"}
    found = []
    for path in options.rotate_key_to:
        after = _read_key(path, identities)
        if after.public_hex in earlier:
            raise UsageError(f"--rotate-key-to {path}: it is the same key as {earlier[after.public_hex]}")
        earlier[after.public_hex] = f"--rotate-key-to {path}"
        found.append(after)
    return tuple(found)


def _read_key(path: str, identities: Identities) -> Signer:
    if not os.path.lexists(path):
        raise UsageError(f"the key {path} does not exist: `trio-egress keygen {path}` makes one")
    key = read_private_key(path)
    check_owner(path, identities)
    return key
