"""What `host_keys` of a rule may say: the keys that an SSH server may show, whole or by their fingerprints.

Reads texts and judges no attempt.

Rule 1: a key is written as in a `.pub` file, a fingerprint as `ssh-keygen -l` shows it; a comment says nothing.
Rule 2: what no proxy and no client of today accepts (DSA, certificates, MD5) is an error, never a pin that can't match.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import sha256

from trio_egress.texts.faults import Fault, Faults, hint_nearest, show
from trio_egress.values import frozen

KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
HOST_KEYS_MAX = 64
EXAMPLE = '["SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"]'

_FINGERPRINT = re.compile(r"SHA256:([A-Za-z0-9+/]{43})=?", re.ASCII)
_MD5 = re.compile(r"(?:MD5:)?[0-9a-f]{2}(?::[0-9a-f]{2}){15}", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)


@frozen(order=True)
class PinnedKey:
    """A key as a policy has it: its text in normal form, and its fingerprint. `whole`: the text is the key itself."""

    text: str
    fingerprint: str

    @property
    def whole(self) -> bool:
        return self.text != self.fingerprint


def read_host_keys(value: object) -> tuple[PinnedKey, ...]:
    """Raises ValueError, or Faults with the places in the list."""
    if not isinstance(value, list) or len(value) > HOST_KEYS_MAX:
        raise ValueError(
            f"host_keys must be a list of at most {HOST_KEYS_MAX} keys such as {EXAMPLE}, not {show(value)}"
        )
    if not value:
        raise ValueError("host_keys is empty, which would allow nothing; leave it out to accept any key")
    found: set[PinnedKey] = set()
    faults: list[Fault] = []
    for place, item in enumerate(value):
        try:
            found.add(_parse(item))
        except ValueError as error:
            faults.append(Fault((place,), str(error)))
    if faults:
        raise Faults(faults)
    return tuple(sorted(found))


def _parse(item: object) -> PinnedKey:
    if not isinstance(item, str):
        raise ValueError(f"a host key must be a string such as {EXAMPLE[1:-1]}, not {show(item)}")
    words = item.split()
    if len(words) == 1:
        return _parse_fingerprint(words[0])
    if len(words) > 2 and words[0] not in KEY_TYPES and words[1] in KEY_TYPES:
        right = show(f"{words[1]} {words[2]}")
        raise ValueError(f"a host key stands without a host in front of it; did you mean {right}?")
    return _parse_key(words)


def _parse_fingerprint(text: str) -> PinnedKey:
    if _MD5.fullmatch(text):
        raise ValueError("fingerprints are SHA256, not MD5: `ssh-keygen -l -E sha256` shows it")
    found = _FINGERPRINT.fullmatch(text)
    # 43 digits hold 258 bits, and one fingerprint has one spelling: the last two are zero.
    if found is None or b64encode(b64decode(f"{found[1]}=")) != f"{found[1]}=".encode("ascii"):
        raise ValueError(
            f'{show(text)} is neither a fingerprint ("SHA256:" and 43 characters, as `ssh-keygen -l` shows it) nor a '
            'key ("ssh-ed25519 AAAA…")'
        )
    fingerprint = f"SHA256:{found[1]}"
    return PinnedKey(fingerprint, fingerprint)


def _parse_key(words: list[str]) -> PinnedKey:
    kind, encoded = (*words, "", "")[:2]
    if kind not in KEY_TYPES:
        hint = hint_nearest(kind, KEY_TYPES)
        if "-cert-" in kind:
            hint = "; pin the key that the certificate is for"
        raise ValueError(
            f"{show(kind)} is not a type of host key that is accepted ({', '.join(KEY_TYPES)}){hint}"
        )
    if not _BASE64.fullmatch(encoded) or len(encoded) % 4:
        raise ValueError(f"what follows {kind} is not the base64 of a key, as a .pub file has it")
    blob = b64decode(encoded)
    name = kind.encode("ascii")
    if not blob.startswith(len(name).to_bytes(4, "big") + name) or b64encode(blob).decode("ascii") != encoded:
        raise ValueError(f"what follows {kind} is not a key of that type; is it cut short?")
    if not _is_whole(blob):
        raise ValueError(f"what follows {kind} is not a whole key; is it cut short?")
    digest = b64encode(sha256(blob).digest()).rstrip(b"=").decode("ascii")
    return PinnedKey(f"{kind} {encoded}", f"SHA256:{digest}")


def _is_whole(blob: bytes) -> bool:
    """Whether it is fields behind their lengths, to the end (RFC 4253 6.6)."""
    at = count = 0
    while at + 4 <= len(blob):
        at += 4 + int.from_bytes(blob[at : at + 4], "big")
        count += 1
    return at == len(blob) and count > 1
