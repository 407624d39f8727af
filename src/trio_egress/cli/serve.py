"""`trio-egress serve`: sandboxes for programs of other users, each with a supervisor of its own.

Rule 1: this process reads nothing that a client says: it asks the kernel who that is, counts, and starts a supervisor
        that has the connection (`serve_child.py`). No client reaches another's, or this one.
Rule 2: a supervisor outlives neither its client nor this process, whatever ends them: its chain is closed then.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

from trio_egress.cli.serve_admission import Allowed, Quota, read_allowed
from trio_egress.cli.serve_floor import read_floor
from trio_egress.errors import TrioEgressError, UsageError
from trio_egress.evidence.packet import read_private_key
from trio_egress.evidence.sign import fingerprint
from trio_egress.kernel.endpoint import open_endpoint, take_passed
from trio_egress.kernel.peers import Peer, is_unmapped, read_peer
from trio_egress.runtime.parting import refuse
from trio_egress.values import define

PROGRAM = (
    "import sys; sys.path[:] = filter(None, sys.path); from trio_egress.cli.serve_child import main as child; "
    "sys.exit(child())"
)
"""Not `-m`, which looks into the working directory first."""

DRAIN_SECONDS = 60.0
"""For a supervisor to close its chain: agents have 2 s of it, the recorder 30 s."""

ACCEPT_PAUSE_SECONDS = 0.1
OWNERS_ALONE, OF_A_GROUP, ANYBODYS = 0o600, 0o660, 0o666


def main(options: argparse.Namespace) -> int:
    """0 it was ended; 1 it could not listen."""
    try:
        allowed = read_allowed(os.geteuid(), options.allow_user, options.allow_group)
        for name in ("policy_floor", "key", "evidence_in"):
            setattr(options, name, os.path.abspath(getattr(options, name)))
        read_floor(Path(options.policy_floor))
        key = read_private_key(options.key)
        _open_evidence(options.evidence_in)
        with _open_listener(options, allowed) as listener:
            served = Served(options, allowed, Quota(options.most, options.most_per_user, options.per_minute))
            served.say(f"waiting at {listener.getsockname()}, signing as {fingerprint(key.public_hex)}")
            del key
            trio.run(served.run, listener)
    except (TrioEgressError, OSError) as error:
        print(f"trio-egress serve: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _open_listener(options: argparse.Namespace, allowed: Allowed) -> Iterator[socket.socket]:
    """Who may connect is the file's mode, who is served the kernel's word."""
    if options.socket is None:
        passed = take_passed(dict(os.environ))
        if passed is None:
            raise UsageError("--socket PATH: where are programs to connect? systemd has passed no socket on")
        with passed:
            yield passed
        return
    one = next(iter(allowed.groups)) if len(allowed.groups) == 1 and not allowed.users else None
    mode = OF_A_GROUP if one is not None else ANYBODYS if allowed.users or allowed.groups else OWNERS_ALONE
    with open_endpoint(options.socket, mode, one) as listener:
        yield listener


def _open_evidence(path: str) -> None:
    os.makedirs(path, mode=0o711, exist_ok=True)


@define(slots=False, eq=False)
class Served:
    """All that are served, for as long as this process lives."""

    options: argparse.Namespace
    allowed: Allowed
    quota: Quota
    _living: set[subprocess.Popen[bytes]] = attrs.field(factory=set, init=False)
    _ending: bool = attrs.field(default=False, init=False)

    def say(self, text: str) -> None:
        if not self.options.quiet:
            print(f"trio-egress serve: {text}", file=sys.stderr, flush=True)

    async def run(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                accepting = trio.CancelScope()
                nursery.start_soon(self._accept, trio.socket.from_stdlib_socket(listener), nursery, accepting)
                await anext(signals)
                accepting.cancel()
                self._ending = True
                self.say(f"ending {len(self._living)} sandboxes")
                for process in self._living:
                    process.terminate()
                nursery.cancel_scope.deadline = trio.current_time() + DRAIN_SECONDS

    async def _accept(
        self, listener: trio.socket.SocketType, nursery: trio.Nursery, accepting: trio.CancelScope
    ) -> None:
        with accepting:
            while True:
                try:
                    accepted, _ = await listener.accept()
                except OSError:  # no descriptor is left, or it was gone before it was taken
                    await trio.sleep(ACCEPT_PAUSE_SECONDS)
                    continue
                with socket.socket(fileno=accepted.detach()) as sock:
                    self._take(sock, nursery)

    def _take(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        try:
            peer = read_peer(sock)
            if trouble := self._find_trouble(peer):
                self.say(f"uid {peer.uid} (process {peer.pid}) is refused: {trouble}")
                refuse(sock, trouble)
                return
            own = sock.dup()
        except OSError as error:
            self.say(f"a client can't be looked at: {error.strerror}")
            return
        self.quota.living[peer.uid] += 1
        nursery.start_soon(self._serve, own, peer)

    def _find_trouble(self, peer: Peer) -> str:
        return self.allowed.find_trouble(peer, unmapped=is_unmapped(peer.uid)) or self.quota.find_trouble(
            peer.uid, trio.current_time()
        )

    async def _serve(self, sock: socket.socket, peer: Peer) -> None:
        """One client, to the end of its supervisor."""
        try:
            with sock, _open_folder() as folder, _open_tie() as tie:
                process = self._start(sock, tie, folder, peer)
                sock.close()
                await self._follow(process, peer)
        except (OSError, TrioEgressError) as error:
            self.say(f"uid {peer.uid} has no supervisor: {error}")
        finally:
            self.quota.living[peer.uid] -= 1

    async def _follow(self, process: subprocess.Popen[bytes], peer: Peer) -> None:
        self.say(f"uid {peer.uid} (process {peer.pid}) has a supervisor, process {process.pid}")
        self._living.add(process)
        if self._ending:
            process.terminate()
        try:
            await _wait(process)
        finally:
            self._living.discard(process)
            process.kill()  # where it has not ended in time
            process.wait()
        self.say(f"the supervisor {process.pid} of uid {peer.uid} has ended with {process.returncode}")

    def _start(self, sock: socket.socket, reads: int, folder: str, peer: Peer) -> subprocess.Popen[bytes]:
        options = self.options
        evidence = Path(options.evidence_in, str(peer.uid))
        evidence.mkdir(mode=0o700, exist_ok=True)
        told = {
            "sock": sock.fileno(),
            "tie": reads,
            "uid": peer.uid,
            "gid": peer.gid,
            "floor": options.policy_floor,
            "key": options.key,
            "evidence": str(evidence),
            "folder": folder,
            "patience": options.patience,
            "idle": options.idle,
            "open_files": options.open_files,
        }
        return subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM, json.dumps(told)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(sock.fileno(), reads),
            cwd="/",
            env={
                name: text for name, text in os.environ.items() if not name.startswith(("LISTEN_", "SUDO_"))
            },
            start_new_session=True,
        )


@contextmanager
def _open_folder() -> Iterator[str]:
    """For one supervisor, and for nobody else."""
    folder = tempfile.mkdtemp(prefix="trio-egress-serve-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _open_tie() -> Iterator[int]:
    """The reading end of a pipe, whose other end nobody but this process has."""
    reads, writes = os.pipe()
    try:
        yield reads
    finally:
        os.close(writes)
        os.close(reads)


async def _wait(process: subprocess.Popen[bytes]) -> None:
    descriptor = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)
