"""The supervisor's process of one client of `trio-egress serve`: as of a run, for whoever is at the end of a socket.

Rule 1: nothing that the client names is opened with this process's rights: its working directory comes as a descriptor,
        its policy as a text that includes presets alone.
Rule 2: its policy only narrows the operator's, or there is no sandbox.
Rule 3: the agent is the client's user and its group, in no other group, and nothing is lent to it.
"""

from __future__ import annotations

import json
import math
import os
import pwd
import resource
import socket
import stat
import sys
from array import array
from pathlib import Path
from typing import Any

from trio_egress.errors import PeerError, SandboxError, TrioEgressError, UsageError
from trio_egress.kernel.guard import parents
from trio_egress.runtime.parting import refuse
from trio_egress.runtime.tie import forget_signals, tie
from trio_egress.wire.opening import DESCRIPTORS, OPENING_BYTES, Opening, read_opening

_FIXED = ("/", "/run", "/var/run", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
"""Nobody but root puts anything else at these paths, and the sandbox has its own there anyway."""

WIDER_MOST = 20


def main() -> int:
    """One argument: what `cli/serve.py` says of the client, as JSON."""
    told: dict[str, Any] = json.loads(sys.argv[1])
    forget_signals()
    tie(told["tie"])
    os.umask(0o022)
    _limit_descriptors(told["open_files"])
    sock = socket.socket(fileno=told["sock"])
    sock.set_inheritable(False)
    from trio_egress.runtime.signals import Inbox

    inbox = Inbox()
    inbox.open()
    try:
        opening, (directory, *line) = _hear(sock, told["patience"])
        caller = _enter(directory, opening, told["uid"], told["gid"])
        words = _find_options(opening, told, line)
    except PeerError as error:
        refuse(sock, UsageError(str(error)))
        return 1
    except TrioEgressError as error:
        refuse(sock, error)
        return 1
    from trio_egress.cli.main import build_parser
    from trio_egress.cli.run import main as run
    from trio_egress.runtime.served import ServedHost

    status = os.open(Path(told["folder"], "status.json"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    host = ServedHost(sock, idle_seconds=told["idle"] or math.inf)
    parser, _ = build_parser("run")
    run(parser.parse_args(words), inbox, client=host, caller=caller)
    host.part(json.loads(os.pread(status, OPENING_BYTES, 0)))
    return 0


def _limit_descriptors(most: int) -> None:
    """Only root may have more than there were."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _hear(sock: socket.socket, seconds: float) -> tuple[Opening, list[int]]:
    """The client's first word, and the descriptors beside it. Raises PeerError."""
    sock.settimeout(seconds)
    room = socket.CMSG_LEN(DESCRIPTORS * array("i").itemsize)
    try:
        raw, ancillary, flags, _ = sock.recvmsg(OPENING_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        raise PeerError(f"there was no opening within {seconds:g} s") from None
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise PeerError(f"an opening has at most {OPENING_BYTES} bytes, and {DESCRIPTORS} descriptors")
    descriptors = [number for _, _, data in ancillary for number in array("i", data)]
    opening = read_opening(raw, len(descriptors))
    sock.settimeout(None)
    return opening, descriptors


def _enter(descriptor: int, opening: Opening, uid: int, gid: int) -> Any:
    """Go to the client's directory, and be sure that its path leads there. Raises UsageError."""
    if not _is_of_ours(descriptor):
        raise UsageError(
            "the workspace is of another mount namespace: a container's files are not the host's"
        )
    try:
        os.fchdir(descriptor)
        found, path = os.fstat(descriptor), os.getcwd()
        there = os.lstat(path)
    except OSError as error:
        raise UsageError(f"the workspace can't be entered from here: {error.strerror}") from None
    if (found.st_dev, found.st_ino) != (there.st_dev, there.st_ino):
        raise UsageError(
            f"the workspace has another path here than where it was opened, or none ({path}): a container's is not the "
            "host's"
        )
    os.close(descriptor)
    from trio_egress.runtime.environment import HOMELESS
    from trio_egress.runtime.spec import Caller

    known = None if path in _FIXED else (found.st_dev, found.st_ino)
    agent = _find_ids(uid, gid)
    return Caller(agent, {**opening.environment, "HOME": agent.home or HOMELESS}, known)


def _is_of_ours(descriptor: int) -> bool:
    """Whether it is of a mount that this process sees, too. In another's namespace the same directory may be as all
    that its processes may see, or read-only, and the sandbox would be of this one."""
    told = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii").partition("mnt_id:")[2].split()
    with open("/proc/self/mountinfo", "rb") as table:
        return any(line.split(b" ", 1)[0].decode() in told[:1] for line in table)


def _find_ids(uid: int, gid: int) -> Any:
    from trio_egress.kernel.identity import Ids

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Ids(uid, gid, str(uid), "")
    return Ids(uid, gid, entry.pw_name, _find_home(entry.pw_dir))


def _find_home(path: str) -> str:
    """It is mounted with this process's rights, later: where anybody but root could put something else, or a link, at
    its path meanwhile, there is none."""
    home = os.path.realpath(path)
    if not os.path.isdir(home):
        return ""
    for folder in ("/", *parents(home)) if os.geteuid() == 0 else ():
        found = os.stat(folder)
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return ""
    return home


def _find_options(opening: Opening, told: dict[str, Any], line: list[int]) -> list[str]:
    """Of the run. Raises PolicyError, and SandboxError for a policy that is wider than the floor."""
    from trio_egress.cli.serve_floor import read_floor
    from trio_egress.policy.allowed import add_allowed
    from trio_egress.policy.floor import find_wider
    from trio_egress.policy.load import load_policy

    floor_path = Path(told["floor"])
    floor = read_floor(floor_path)
    path, text = floor_path, opening.policy
    if text is not None:
        policy = load_policy(add_allowed(text, opening.file, opening.allow), opening.file)  # no files
        # Read once more by its name, and in the same language: `.yaml` has no suffix.
        path = Path(told["folder"], f"policy.{opening.file.rpartition('.')[2]}")
        path.write_text(text, encoding="utf-8")
    elif opening.allow:
        raise UsageError("allow: without a policy of its own a sandbox has the operator's as it is")
    else:
        policy = floor
    if more := set(policy.files.hide) - set(floor.files.hide):
        raise SandboxError(
            f"[files] hide: the floor says what is looked for by serve's rights; take out {min(more)}"
        )
    if wider := find_wider(floor, policy):
        raise SandboxError(
            "the policy is wider than the floor that serve's operator has set:\n  "
            + "\n  ".join(wider[:WIDER_MOST])
            + ("" if len(wider) <= WIDER_MOST else f"\n  and {len(wider) - WIDER_MOST} more")
        )
    timeout = [] if opening.timeout is None else [f"--timeout={opening.timeout}"]
    return [
        "run",
        f"--policy={path}",
        *(f"--allow={each}" for each in opening.allow),
        f"--evidence-in={told['evidence']}",
        f"--key={told['key']}",
        f"--status-file={Path(told['folder'], 'status.json')}",
        *timeout,
        *(f"--ask-fd={each}" for each in line),
        *("--verify", "--quiet", "--", "session"),
    ]
