"""Trials of this machine: forked children that build what a run builds, use it, and tell what they saw.

Nothing is changed on the machine and nothing in the caller, who should have one thread (`man 2 fork`).

Rule 1: a trial does what a run does, as the user that the run would be, with the modules that the run uses.
Rule 2: whatever goes wrong in a trial is its outcome, never an exception of the caller.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from trio_egress.errors import SandboxError
from trio_egress.kernel import calls, netlink, nflog, nft, notify, origin, seccomp, syscalls, view
from trio_egress.kernel.identity import Identities, Ids
from trio_egress.kernel.subordinate import map_subordinate
from trio_egress.values import frozen

TRIAL_SECONDS = 60.0
ANSWER_SECONDS = 10.0
MESSAGE_BYTES = 4096  # PIPE_BUF

NETLINK_NETFILTER = 12
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_OUTSIDE = (("203.0.113.9", 443), ("2001:db8::9", 443))  # RFC 5737, RFC 3849


@frozen
class Outcome:
    """What a trial saw, or why it failed: exactly one of them unless there was nothing to tell."""

    text: str
    failure: str


def try_in_child(trial: Callable[[], str], seconds: float = TRIAL_SECONDS) -> Outcome:
    """Run `trial` in a child, for at most `seconds`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run_trial(trial, writer)
    os.close(writer)
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        ready, _, _ = select.select([pipe], [], [], seconds)
        raw = pipe.read(MESSAGE_BYTES) if ready else b""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if raw:
        return Outcome(**json.loads(raw))
    if not ready:
        return Outcome("", f"no answer for {seconds:.0f} s")
    return Outcome("", f"the trial ended with status {os.waitstatus_to_exitcode(status)} and told nothing")


def _run_trial(trial: Callable[[], str], writer: int) -> NoReturn:
    """The child: its one message is at most PIPE_BUF bytes, so it is written and read whole."""
    try:
        message = {"text": trial(), "failure": ""}
    except Exception as error:
        message = {"text": "", "failure": _explain(error)}
    try:
        os.write(writer, json.dumps(message).encode("ascii"))
    finally:
        os._exit(0)


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def enter_namespaces(identities: Identities) -> str:
    """The first steps of the launcher, in this (forked) process."""
    if identities.root:
        ids = identities.supervisor
        syscalls.keep_capabilities()
        os.setgroups([])
        os.setresgid(ids.gid, ids.gid, ids.gid)
        os.setresuid(ids.uid, ids.uid, ids.uid)
        syscalls.raise_capabilities()
        syscalls.set_dumpable(True)  # or /proc/self would belong to root
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(
        syscalls.CLONE_NEWUSER
        | syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWNET
        | syscalls.CLONE_NEWPID
        | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWUTS
        | syscalls.CLONE_NEWCGROUP
    )
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as opened:
            opened.write(text)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    return ""


def use_subordinate(identities: Identities) -> str:
    """Become the agent's id in a user namespace whose map newuidmap and newgidmap have written."""
    agent, own = identities.agent, identities.supervisor
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _wait_mapped(theirs, agent)
    theirs.close()
    try:
        ours.settimeout(ANSWER_SECONDS)
        ours.recv(1)
        map_subordinate(child, sorted({own.uid, agent.uid}), sorted({own.gid, agent.gid}))
        ours.send(b"m")
        said = ours.recv(MESSAGE_BYTES).decode()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if said != str(agent.uid):
        raise SandboxError(f"cannot become uid {agent.uid}: {said or 'no answer'}")
    return ""


def _wait_mapped(control: socket.socket, agent: Ids) -> NoReturn:
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        control.send(b"u")
        control.recv(1)
        os.setgroups([])
        os.setresgid(agent.gid, agent.gid, agent.gid)
        os.setresuid(agent.uid, agent.uid, agent.uid)
        said = str(os.getuid())
    except OSError as error:
        said = _explain(error)
    control.send(said.encode())
    os._exit(0)


def use_mounts(identities: Identities) -> str:
    """/proc shows a PID namespace, so it takes a process that was born in it."""
    enter_namespaces(identities)
    if os.path.isdir("/run"):
        syscalls.mount("tmpfs", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0755,size=1m")
    inner = try_in_child(_mount_proc)
    if inner.failure:
        raise SandboxError(inner.failure)
    return ""


def use_layers(identities: Identities) -> str:
    """An overlay of what every machine has, made by whom a run makes it."""
    if identities.root:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    else:
        enter_namespaces(identities)
    syscalls.mount("tmpfs", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=0755,size=1m")
    os.makedirs(view.NOTHING)
    view.mount_layer("/usr/bin", "/usr/bin")
    return ""


def _mount_proc() -> str:
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    return ""


def use_network(identities: Identities) -> str:
    """Build the network of a run and use it: one JSON list of what was seen."""
    enter_namespaces(identities)
    route, rules, log = (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        for protocol in (socket.NETLINK_ROUTE, NETLINK_NETFILTER, NETLINK_NETFILTER)
    )
    for opened in (route, rules, log):
        opened.bind((0, 0))
    netlink.bring_up_loopback(route)
    netlink.add_local_routes(route)
    nflog.bind_group(log, nft.LOG_GROUP)
    listeners = [socket.create_server((host, 0), family=family) for family, host in _LOOPBACK]
    ports = [listener.getsockname()[1] for listener in listeners]
    netlink.run_batch(rules, nft.ruleset(nft.ListenerPorts(*ports, *ports, *ports)))
    log.settimeout(ANSWER_SECONDS)
    lines = []
    for listener, target in zip(listeners, _OUTSIDE, strict=True):
        lines.append(_line("redirect", functools.partial(_see_redirect, listener, target)))
    lines.append(_line("log", functools.partial(_see_log, log)))
    return json.dumps(lines)


def _line(name: str, see: Callable[[], str]) -> dict[str, str]:
    try:
        return {"name": name, "found": see(), "failure": ""}
    except (OSError, SandboxError) as error:
        return {"name": name, "found": "", "failure": _explain(error)}


def _see_redirect(listener: socket.socket, target: tuple[str, int]) -> str:
    listener.settimeout(ANSWER_SECONDS)
    with socket.socket(listener.family, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS)
        client.connect(target)
        accepted, _ = listener.accept()
        with accepted:
            seen = origin.original_destination(accepted, listener.family)
    if seen is None or (str(seen.address), seen.port) != target:
        raise SandboxError(f"a connection to {target[0]} was redirected as one to {seen}")
    return f"a connection to {seen} arrives at the listener"


def _see_log(log: socket.socket) -> str:
    target = _OUTSIDE[0][0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b"probe", (target, 9))
        except PermissionError:
            pass
        else:
            raise SandboxError(f"a datagram to {target} was not refused")
    for packet in nflog.parse_packets(log.recv(nflog.DATAGRAM_BYTES)):
        if str(packet.destination) == target and packet.protocol == "udp":
            return f"a datagram to {target} is refused at once and seen"
    raise SandboxError(f"the log does not show a datagram to {target}")


def use_seccomp() -> str:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER).close()  # anybody may, without it
    syscalls.set_no_new_privs()
    syscalls.install_seccomp(seccomp.build_filter(os.uname().machine))
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER).close()
    except OSError as error:
        if error.errno == calls.EAFNOSUPPORT:
            return ""
        raise
    raise SandboxError("the filter is installed and refuses nothing")


def use_notification() -> str:
    """Answer a child's refused call, as PID 1 does; what there is instead, where that can't be."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _be_refused(theirs.fileno())
    theirs.close()
    with ours:
        listener, said = notify.follow(ours)
    os.waitpid(child, 0)
    if "failure" in said:
        raise SandboxError(said["failure"])
    if listener is None:
        raise SandboxError(said["refused_calls"])
    (refused,), _ = listener.tally.take()
    if refused[:3] != ("socket", f"AF_NETLINK, SOCK_RAW, {NETLINK_NETFILTER}", calls.EAFNOSUPPORT):
        raise SandboxError(f"a refused socket was told as {refused}")
    return ""


def _be_refused(channel: int) -> NoReturn:
    try:
        filters = seccomp.build_filters(os.uname().machine)
        syscalls.set_no_new_privs()
        notify.install(notify.Filters(filters.notifying, filters.refusing), channel)
        with contextlib.suppress(OSError):
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER).close()
    except Exception as error:
        notify.say(channel, failure=_explain(error))
    finally:
        os._exit(0)
