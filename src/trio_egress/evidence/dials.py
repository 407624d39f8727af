"""What a log says was connected to: each host, address and port, with the sums of its outcomes.

Rule 1: bounded: rows beyond ROWS are counted, not kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.values import define

ROWS = 1_000
"""Different rows kept: more than anybody reads, and some hundred KiB."""

ROW_CHARS = 1_024
"""Longest host and address kept: twice as long as any that there is."""


@define
class Dialled:
    """The sums of one row."""

    attempts: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


class Dials:
    """Fed the receipts that say `dialled`; an intent says nothing of it."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], Dialled] = {}
        """By host, address and port; without a name the host is the address."""

        self.left_out = 0
        self._usual: dict[tuple[object, object], Dialled] = {}

    def feed(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        if record.get("decision_phase") != "outcome":
            return
        said = facts["dialled"], facts.get("host")
        sums = self._usual.get(said) or self._find(*said)
        if sums is not None:
            sums.attempts += 1
            sums.bytes_up += _count(facts.get("bytes_up"))
            sums.bytes_down += _count(facts.get("bytes_down"))

    def _find(self, dialled: object, host: object) -> Dialled | None:
        ip, colon, port = str(dialled).rpartition(":")
        if not (colon and port.isascii() and port.isdecimal() and len(port) <= 5):
            return None
        ip = ip.removeprefix("[").removesuffix("]")
        row = str(ip if host is None else host), ip, int(port)
        if row not in self.rows and (len(self.rows) == ROWS or len(row[0]) + len(row[1]) > ROW_CHARS):
            self.left_out += 1
            return None
        sums = self.rows.setdefault(row, Dialled())
        # One row may be spelt in many ways.
        if len(self._usual) < ROWS:
            self._usual[dialled, host] = sums
        return sums


def _count(value: object) -> int:
    return value if type(value) is int else 0
