"""The supervisor's half of building a sandbox: give the launcher its plan, map ids, configure the network inside.

Blocking; the steps are those of `launcher.main` seen from the other side. When it returns the sandbox stands and waits,
and nothing of the agent has run.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import Identities
from trio_egress.kernel.plan import Plan, open_plan
from trio_egress.kernel.streams import STREAMS
from trio_egress.kernel.subordinate import map_subordinate
from trio_egress.kernel.waiting import Waiting, start_waiting
from trio_egress.values import frozen

HANDSHAKE_SECONDS = 60.0
"""Set-up takes some 50 ms; a machine that needs this long is not going to finish."""

MESSAGE_BYTES = 65536
SOCKETS = 12
FAMILIES = ("v4", "v6")

_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid (`man 7 unix`)."""


@frozen
class Launched:
    """A launcher at work. All descriptors are the owner's to close; closing `control` ends everything.

    `bare`: directories of the host that the agent sees as they are, not as an overlay. `init`: once the sandbox stands,
    a pidfd of PID 1, readable when everything inside is gone and not before. A launcher that was killed tells nothing
    of that.
    """

    process: subprocess.Popen[bytes]
    control: socket.socket
    sockets: dict[str, socket.socket]
    bare: list[str] = attrs.field(factory=list)
    init: list[int] = attrs.field(factory=list)


def start_launcher(plan: Plan, streams: Sequence[int] = STREAMS, waiting: Waiting | None = None) -> Launched:
    """Give the plan to the launcher that waits for one, or to one that is started now, on the thread of which
    kernel/waiting.py tells. `streams`: what are 0, 1 and 2 there, and of the agent; one that waits has ours."""
    if waiting is None:
        given = [None if number == stream else stream for number, stream in enumerate(streams)]
        try:
            waiting = start_waiting(given)
        except OSError as error:
            raise SandboxError(f"cannot start {sys.executable}: {error.strerror}") from None
    waiting.control.settimeout(HANDSHAKE_SECONDS)
    plan_fd = open_plan(plan)
    told = json.dumps({"step": "plan", "group": list(plan.group)}).encode("ascii")
    try:
        with suppress(OSError):  # it is gone: whoever hears from it next is told
            socket.send_fds(waiting.control, [told], [plan_fd, *plan.group.values()])
    finally:
        os.close(plan_fd)
    return Launched(waiting.process, waiting.control, sockets={})


def build_sandbox(launched: Launched, identities: Identities) -> None:
    """Go through the handshake; raises SandboxError with the launcher's own words."""
    _expect(launched, "unshared")
    _map_ids(launched.process.pid, identities)
    _say(launched, step="mapped")
    _receive_sockets(launched)
    _configure_network(launched.sockets)
    launched.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    _say(launched, step="configured")
    _expect_init(launched)
    launched.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)


def _say(launched: Launched, **message: object) -> None:
    try:
        launched.control.send(json.dumps(message).encode("ascii"))
    except OSError:
        raise SandboxError("the launcher is gone") from None


def _expect(launched: Launched, step: str) -> Mapping[str, object]:
    with _listening():
        raw = launched.control.recv(MESSAGE_BYTES)
    return _read_step(raw, step)


def _expect_init(launched: Launched) -> None:
    """The first word of PID 1, with which the kernel tells who that is out here (SCM_CREDENTIALS, `man 7 unix`)."""
    with _listening():
        space = socket.CMSG_SPACE(_CREDENTIALS.size)
        raw, ancillary, _, _ = launched.control.recvmsg(MESSAGE_BYTES, space)
    _read_step(raw, "ready")
    pid = next(_CREDENTIALS.unpack(data)[0] for _, kind, data in ancillary if kind == socket.SCM_CREDENTIALS)
    try:
        launched.init.append(os.pidfd_open(pid))
    except OSError as error:
        raise SandboxError(f"PID 1 of the sandbox is gone: {error.strerror}") from None


@contextmanager
def _listening() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise SandboxError(f"the launcher did not answer for {HANDSHAKE_SECONDS:.0f} s") from None
    except ConnectionResetError:
        raise SandboxError("the launcher was killed") from None


def _read_step(raw: bytes, step: str) -> Mapping[str, object]:
    if not raw:
        raise SandboxError(f"the launcher ended before it was {step}")
    message: dict[str, object] = json.loads(raw)
    if "refused" in message:
        raise SandboxError(str(message["refused"]))
    if message["step"] == "failed":
        raise SandboxError(_explain(str(message["message"])))
    if message["step"] != step:
        raise SandboxError(f"the launcher said {message['step']!r} instead of {step!r}")
    return message


def _explain(message: str) -> str:
    """A failure with its cure, where the cure is known."""
    text = f"cannot build the sandbox: {message}"
    if message.startswith("PID 1") and "/proc" in message:
        return f"{text}\na /proc that a container engine has masked can't be mounted anew; see `trio-egress doctor`"
    return f"{text}\n`trio-egress doctor` says what this machine lacks, and what helps"


def _map_ids(pid: int, identities: Identities) -> None:
    """Map exactly the two users of the run onto themselves (`man 7 user_namespaces`): no id 0 inside."""
    users = {ids.uid for ids in (identities.supervisor, identities.agent)}
    groups = {ids.gid for ids in (identities.supervisor, identities.agent)}
    if identities.apart and not identities.root:
        map_subordinate(pid, sorted(users), sorted(groups))
        return
    try:
        if not identities.root:
            Path(f"/proc/{pid}/setgroups").write_text("deny")
        Path(f"/proc/{pid}/uid_map").write_text("".join(f"{i} {i} 1\n" for i in sorted(users)))
        Path(f"/proc/{pid}/gid_map").write_text("".join(f"{i} {i} 1\n" for i in sorted(groups)))
    except OSError as error:
        raise SandboxError(
            f"cannot map ids into the sandbox: {error.strerror}; see `trio-egress doctor`"
        ) from None


def _receive_sockets(launched: Launched) -> None:
    with _listening():
        raw, descriptors, _, _ = socket.recv_fds(launched.control, MESSAGE_BYTES, SOCKETS)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    try:
        message = _read_step(raw, "sockets")
        names = message["names"]
        if not isinstance(names, list) or len(names) != len(sockets):
            raise SandboxError(f"the launcher opened {len(sockets)} of its {SOCKETS} sockets")
        bare = message["bare"]
        launched.bare.extend(bare if isinstance(bare, list) else [])
    except SandboxError:
        for opened in sockets:
            opened.close()
        raise
    launched.sockets.update(zip(names, sockets, strict=True))


def _configure_network(sockets: Mapping[str, socket.socket]) -> None:
    from trio_egress.kernel import netlink, nflog, nft

    netlink.add_local_routes(sockets["route"])
    nflog.bind_group(sockets["log"], nft.LOG_GROUP)
    ports = nft.ListenerPorts(
        **{
            f"{name}_{v}": sockets[f"{name}_{v}"].getsockname()[1]
            for name in ("transparent", "proxy")
            for v in FAMILIES
        },
        **{f"dns_{v}": sockets[f"dns_tcp_{v}"].getsockname()[1] for v in FAMILIES},
    )
    netlink.run_batch(sockets["netfilter"], nft.ruleset(ports))
