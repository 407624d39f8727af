"""A session in a sandbox of `trio-egress serve`: its supervisor is another process of another user, behind a socket.

Rule 1: nothing is told to whoever listens there, unless that is root or this program's own user.
Rule 2: what serve opens for the sandbox, this program has opened itself: the working directory goes as a descriptor.
Rule 3: the packet is the operator's; what this program has is a copy.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from trio_egress.cli.packet.places import AUDIT_DIRECTORY
from trio_egress.errors import SandboxError, TrioEgressError, UsageError
from trio_egress.kernel.peers import read_peer
from trio_egress.library.answering import Answering
from trio_egress.library.copying import Place, open_place
from trio_egress.library.running import Terms
from trio_egress.library.session import Members, Session, close_all
from trio_egress.runtime.backends import find_socket
from trio_egress.values import frozen
from trio_egress.wire.opening import OPENING_BYTES
from trio_egress.wire.session_told import Closed, Refused, Told


@frozen
class Distant:
    """A supervisor that is reached by its socket alone; when that is closed, it ends in good order."""

    sock: socket.socket

    def terminate(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    kill = terminate

    def wait(self) -> int:
        """It has hung up already."""
        return 0


class RemoteSession(Session):
    """One, from `start_remote` to `close`, or to `finish`."""

    def __init__(self, sock: socket.socket, place: Place, answering: Answering | None) -> None:
        super().__init__(Distant(sock), sock, "", answering)
        self._place = place
        self._closed: dict[str, object] | None = None
        self._copied = True

    def finish(self) -> Members:
        """Close it, and have how it ended, whatever that was.

        Raises TrioEgressError where nobody has said, or what they gave could not be copied.
        """
        try:
            self.close()
        except TrioEgressError:
            if self._closed is None or not self._copied:
                raise
        if self._closed is None:
            raise SandboxError("the sandbox belongs to another process")
        return self._closed

    def hang_up(self) -> None:
        """End it as SIGTERM would, and wait until the packet is here. Whatever ends the waiting waits for nothing."""
        self._closing = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        try:
            self._thread.join()
        except BaseException:
            self._process.kill()
            raise
        finally:
            self._leave()

    def _receive(self) -> tuple[Told, list[int]] | None:
        """A word of refusal stands behind the error that tells that ours were not read."""
        return super()._receive() or super()._receive()

    def _take(self, told: Told, descriptors: list[int]) -> None:
        match told:
            case Refused(_, message):
                self._closed = {"end": "refused", "message": message}
            case Closed(status):
                self._closed = status
                if self._closed is not None and descriptors:
                    self._closed["evidence"] = self._copy(str(self._closed["run_id"]), descriptors[0])
                else:
                    close_all(descriptors)
            case _:
                super()._take(told, descriptors)

    def _copy(self, run_id: str, packet: int) -> str:
        try:
            return str(self._place.take(packet, run_id))
        except OSError as error:
            text = f"the operator has the packet of run {run_id}, and no copy could be made: {error}"
            self._error = self._error or TrioEgressError(text)
            self._copied = False
            return str(self._place.path)
        finally:
            os.close(packet)

    def _conclude(self) -> None:
        self._place.close()
        super()._conclude()

    def _load_status(self) -> Members:
        if self._closed is None:
            raise KeyError("closed")
        return self._closed


def ask_serve(terms: Terms, answering: Answering | None, line: socket.socket | None) -> RemoteSession:
    """Raises SandboxError and UsageError. `line`: what questions come by, `answering`'s or another's."""
    for name in ("key", "signer", "user"):
        if getattr(terms, name) is not None:
            raise UsageError(f"{name}: with the back-end `helper` that is for serve's operator to say")
    directory = Path(os.path.abspath(terms.directory or "."))
    several = Path(os.path.abspath(terms.evidence_in or directory / AUDIT_DIRECTORY))
    place = open_place(None if terms.evidence is None else Path(os.path.abspath(terms.evidence)), several)
    try:
        return start_remote(find_socket(os.environ), terms, directory, place, answering, line)
    except BaseException:
        place.close()
        raise


def start_remote(
    path: str,
    terms: Terms,
    directory: Path,
    place: Place,
    answering: Answering | None = None,
    line: socket.socket | None = None,
) -> RemoteSession:
    """Ask serve at `path` for a sandbox; `begin` waits until it stands. Raises SandboxError and UsageError."""
    policy = None if terms.policy is None else Path(terms.policy)
    members = {
        "step": "open",
        "policy": None if policy is None else policy.read_text(encoding="utf-8"),
        "file": "policy.toml" if policy is None else policy.name,
        "allow": list(terms.allow),
        "environment": _find_variables(os.environ if terms.environment is None else terms.environment),
        "timeout": terms.timeout,
        "decides": line is not None,
    }
    raw = json.dumps(members).encode("ascii")
    if len(raw) > OPENING_BYTES:
        raise UsageError(
            f"policy and environment must be below {OPENING_BYTES} bytes together, not {len(raw)}"
        )
    sock = _connect(path)
    try:
        _send(sock, raw, directory, line)
    except BaseException:
        sock.close()
        raise
    return RemoteSession(sock, place, answering)


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.connect(path)
        owner = read_peer(sock).uid
    except OSError as error:
        sock.close()
        raise SandboxError(
            f"nobody can be asked at {path} ({error.strerror}): does `trio-egress serve` run?"
        ) from None
    if owner not in (0, os.geteuid()):
        sock.close()
        raise SandboxError(
            f"who listens at {path} is uid {owner}, neither root nor you: nothing was told there"
        )
    return sock


def _send(sock: socket.socket, raw: bytes, directory: Path, line: socket.socket | None) -> None:
    try:
        descriptors = [os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    except OSError as error:
        raise UsageError(f"the workspace {directory}: {error.strerror}") from None
    try:
        if line is not None:
            descriptors.append(line.fileno())
        with suppress(BrokenPipeError, ConnectionResetError):  # refused already: it says so
            socket.send_fds(sock, [raw], descriptors)
    finally:
        os.close(descriptors[0])
        if line is not None:
            line.close()


def _find_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what is no text."""
    return {
        name: text for name, text in environment.items() if f"{name}{text}".isascii() or _is_text(name + text)
    }


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
