"""The `[tls]` table: further roots, under which upstreams are verified and which the agent trusts, too.

Opens nothing: `gather` does. Reads certificates no further than to know that they are some.

Rule 1: a file of roots has certificates in PEM, and perhaps words around them; never a key: it is part of every packet.
Rule 2: what is trusted is what was read: the SHA-256 of each file stands in the compiled policy, whatever its name.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

import attrs

from trio_egress.policy.includes import Include, check_name, read_named
from trio_egress.texts.faults import show
from trio_egress.values import frozen

ROOTS_BYTES = 1 << 20
"""Of one file: four times as much as all roots of a browser."""

_BLOCK = re.compile(r"-----BEGIN ([^-\n]{1,64})-----(.*?)-----END \1-----", re.DOTALL)
_BEGIN = re.compile(r"-----BEGIN ([^-\n]{1,64})-----")
_CERTIFICATE = "CERTIFICATE"
_SEQUENCE = 0x30
_EXAMPLE = '"company-root.pem"'


@frozen(kw_only=True)
class Roots:
    """A field for each key."""

    extra_ca: tuple[Include, ...] = ()


@frozen
class Root:
    """A file of roots. `pem`: its certificates and nothing else of it; empty where the file is not at hand."""

    name: str
    sha256: str
    pem: str = attrs.field(default="", eq=False, repr=False)


def read_extra_ca(value: object) -> tuple[Include, ...]:
    """Raises ValueError, or Faults with everything that is wrong."""
    return read_named("extra_ca", value, _EXAMPLE, _check_target)


def read_roots(raw: bytes, name: str) -> str:
    """The certificates of a file, in PEM. Raises ValueError."""
    if len(raw) > ROOTS_BYTES:
        raise ValueError(f"{show(name)} has more than {ROOTS_BYTES} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        hint = f"; `openssl x509 -inform der -in {name}` prints one in PEM" if raw[0] == _SEQUENCE else ""
        raise ValueError(f"{show(name)} is not text with certificates in PEM{hint}") from None
    _check_labels(text, name)
    blocks = [match[2] for match in _BLOCK.finditer(text)]
    if not blocks or len(blocks) != len(_BEGIN.findall(text)):
        what = "a certificate that has no end" if _BEGIN.search(text) else "no certificate"
        raise ValueError(f"{show(name)} has {what}; expected -----BEGIN CERTIFICATE----- and its end")
    return "".join(_render(block, f"certificate {n} of {show(name)}") for n, block in enumerate(blocks, 1))


def join_roots(roots: Iterable[Root]) -> tuple[Root, ...]:
    """Each file once, in the order of the names."""
    found = {root.name: root for root in roots}
    return tuple(found[name] for name in sorted(found))


def render_roots(roots: Iterable[Root]) -> dict[str, object]:
    """As the compiled form has them: names and hashes."""
    return {"extra_ca": [{"file": root.name, "sha256": root.sha256} for root in roots]}


def _check_target(target: str) -> str:
    check_name(target)
    if target.endswith("/"):
        raise ValueError(f"{show(target)} is a directory; name each file in it")
    return target


def _check_labels(text: str, name: str) -> None:
    for label in _BEGIN.findall(text):
        if "PRIVATE KEY" in label:
            raise ValueError(
                f"{show(name)} has a private key in it, and would be part of every packet: name a file that has the "
                "certificates alone"
            )
        if label != _CERTIFICATE:
            raise ValueError(f"{show(name)} has something else in it ({show(label)}) than certificates")


def _render(block: str, what: str) -> str:
    """One certificate, spelt in the one way; whether its inside is right is the TLS library's to say."""
    try:
        der = base64.b64decode("".join(block.split()), validate=True)
    except binascii.Error:
        raise ValueError(f"{what} is damaged: it is not base64") from None
    if not _is_whole(der):
        raise ValueError(f"{what} is damaged: it is not one whole DER sequence")
    lines = base64.b64encode(der).decode("ascii")
    body = "\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def _is_whole(der: bytes) -> bool:
    """Whether it is a DER sequence that is as long as it says, and begins with another one."""
    if len(der) < 4 or der[0] != _SEQUENCE:
        return False
    if der[1] < 0x80:
        length, head = der[1], 2
    else:
        head = 2 + der[1] - 0x80
        length = int.from_bytes(der[2:head], "big")
    return len(der) == head + length and der[head : head + 1] == bytes([_SEQUENCE])
