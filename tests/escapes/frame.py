"""What an attack is, and what it has in hand. Standard library only: it runs inside the sandbox as well as outside.

An attack is a function that tries one way out, as somebody who knows everything about the sandbox would. It believes
nothing and decides nothing: what it gets it sends out (`Ways.show`), and the canaries outside tell whether it is real.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

ROOM = "/srv"
"""Where the world keeps its canaries: a file system of the test's own, mounted for the test alone."""
WORK = f"{ROOM}/work"
GUARDED = f"{ROOM}/guarded"
HOME = f"{ROOM}/home"
KEY = f"{ROOM}/keys/signing.key"
EVIDENCE = f"{ROOM}/audit/evidence"

ALLOWED = "allowed.test"
"""The one name that the policy allows, for GET only where that can be told."""
ALLOWED_V4 = "93.184.255.1"
PORTS = 20000
"""Case number n has port PORTS + n of its own, on every address."""

ANSWERED_ALONE = "programs ask as a matter of course, so the kernel refuses it by itself"
KILLED = "the kernel kills who calls by another table"
NOT_CALLED = "what it would be done to is not there, so the call is never made"
NO_TRAFFIC = "makes no network traffic"
INSIDE = "goes to the sandbox's own loopback, which is free"
NO_SOCKET = "no socket to send from, so no packet"


@dataclass(frozen=True)
class Ways:
    """One attack's marks, all of them unique to the case, and the way to tell."""

    name: str
    number: int
    nonce: str
    victim: int = 0
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """Fit for a DNS label; whoever sees it outside has seen the attack get out."""
        return f"t{self.number:03d}x{self.nonce}"

    @property
    def raw(self) -> bytes:
        return self.token.encode("ascii")

    @property
    def v4(self) -> str:
        return f"93.184.{1 + self.number // 200}.{1 + self.number % 200}"

    @property
    def v6(self) -> str:
        return f"2606:4700:0:{self.number:x}::1"

    @property
    def port(self) -> int:
        return PORTS + self.number

    @property
    def guarded(self) -> str:
        """A file of the host's that anybody may write to, as far as its mode goes."""
        return f"{GUARDED}/{self.token}"

    @property
    def machine(self) -> str:
        return os.uname().machine

    def embed(self, prefix: str, shift: int = 0) -> str:
        """The case's IPv4 address within an IPv6 prefix, `shift` bits above the end."""
        return str(IPv6Address(int(IPv6Address(prefix)) | int(IPv4Address(self.v4)) << shift))

    def show(self, secret: bytes = b"", descriptors: Sequence[int] = (), error: str = "") -> None:
        """Hand something to the judge over standard output, which is a Unix socket."""
        told = {"case": self.name, "secret": secret.hex(), "error": error}
        with socket.socket(fileno=os.dup(1)) as out:
            socket.send_fds(out, [json.dumps(told).encode("ascii")], list(descriptors))


def refused(name: str, detail: str = "") -> str:
    """The receipt of a refused system call, of the kind whose detail is exactly this where one is given."""
    return f"block syscall syscall:{name}" + (f" {re.escape(detail)}$" if detail else "")


Attack = Callable[[Ways], None]


@dataclass(frozen=True)
class Case:
    """One row. `off`: the steps without which the attack succeeds. `proof`: what the outside must see of a success.

    `receipt`: a pattern that one receipt's `verdict transport target` must match; else `silent` says why there is none.
    `only`: "root" or "user", where the other can't be the control. `alone`: in a sandbox of its own. `setting`: what
    the world gives that sandbox. `exists`: whether this kernel has what is attacked; what it lacks has no control.
    """

    name: str
    family: str
    attack: Attack
    off: tuple[str, ...]
    proof: str
    receipt: str
    silent: str
    only: str
    alone: bool
    setting: str
    exists: Callable[[], bool] = lambda: True

    def __str__(self) -> str:
        return self.name


CASES: list[Case] = []


def attack(
    *off: str,
    proof: str = "hit",
    receipt: str = "",
    silent: str = "",
    only: str = "",
    alone: bool = False,
    setting: str = "",
    exists: Callable[[], bool] = lambda: True,
) -> Callable[[Attack], Attack]:
    """Make a row of a function."""

    def enlist(function: Attack) -> Attack:
        name = function.__name__
        add(
            name,
            function,
            *off,
            proof=proof,
            receipt=receipt,
            silent=silent,
            only=only,
            alone=alone,
            setting=setting,
            exists=exists,
        )
        return function

    return enlist


def add(
    name: str,
    function: Attack,
    *off: str,
    proof: str = "hit",
    receipt: str = "",
    silent: str = "",
    only: str = "",
    alone: bool = False,
    setting: str = "",
    exists: Callable[[], bool] = lambda: True,
) -> None:
    """Make a row; for families of attacks that differ in a value."""
    family = function.__module__.rpartition(".")[2]
    if bool(receipt) == bool(silent):
        raise ValueError(f"{name}: a receipt, or the reason why there is none")
    if not off or name in {case.name for case in CASES}:
        raise ValueError(f"{name}: no step to take off, or a second row of that name")
    CASES.append(Case(name, family, function, off, proof, receipt, silent, only, alone, setting, exists))
