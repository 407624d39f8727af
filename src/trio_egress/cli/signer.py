"""`trio-egress signer`: holds a key, and signs the receipts of one run for whoever parses the agent's bytes.

Its standard input is the connection where `run --signer COMMAND` started it; with --socket it waits for one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from trio_egress.errors import SandboxError, TrioEgressError, UsageError
from trio_egress.evidence.packet import read_private_key
from trio_egress.evidence.sign import SigningKey, fingerprint
from trio_egress.kernel.identity import find_signer, give_up_root
from trio_egress.kernel.syscalls import set_dumpable, set_no_new_privs
from trio_egress.signer.serve import accept_run, serve_run

STDIN = 0


def main(options: argparse.Namespace) -> int:
    """0 the run ended with its close receipt; 1 it did not, or something was refused; 2 there was nothing to serve."""
    try:
        users = {0, os.geteuid(), *map(_find_user, options.peer)}
        key = read_private_key(options.key)
        signal.signal(signal.SIGTERM, _end)
        hide = [os.path.abspath(path) for path in (options.key, options.socket) if path]
        with _open_connection(options, users) as sock:
            return _serve(sock, key, hide, quiet=options.quiet)
    except (TrioEgressError, OSError) as error:
        print(f"trio-egress signer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 2


def _serve(sock: socket.socket, key: SigningKey, hide: list[str], *, quiet: bool) -> int:
    followed, trouble = serve_run(sock, key, hide)
    ended = "closed" if followed.is_closed else "not closed"
    if trouble or not quiet:
        print(
            f"trio-egress signer: {fingerprint(key.public_hex)} signed {followed.receipts} receipts and "
            f"{followed.messages} messages of run {followed.run_id or '(none)'}, {ended}, head {followed.head or '-'}"
            f"{f'; {trouble}' if trouble else ''}",
            file=sys.stderr,
        )
    return 0 if followed.is_closed and not trouble else 1


@contextmanager
def _open_connection(options: argparse.Namespace, users: set[int]) -> Iterator[socket.socket]:
    """The connection of the only run; when the body starts, this process is not root any more.

    From the first on nobody of the same user may read its memory, and no core file has it.
    """
    set_no_new_privs()
    set_dumpable(False)
    if options.socket is None:
        if not stat.S_ISSOCK(os.fstat(STDIN).st_mode):
            raise UsageError(
                'standard input is no socket: start it by `trio-egress run --signer "trio-egress signer --key FILE"`, '
                "or give --socket PATH"
            )
        _give_up_root()
        with socket.socket(fileno=os.dup(STDIN)) as sock:
            yield sock
        return
    with _listen(options.socket, others=bool(options.peer)) as listener:
        if not options.quiet:
            print(f"trio-egress signer: waiting for a run at {options.socket}", file=sys.stderr, flush=True)
        sock = accept_run(listener, users)
    with sock:
        _give_up_root()
        yield sock


@contextmanager
def _listen(path: str, *, others: bool) -> Iterator[socket.socket]:
    """Where it may connect is the file's mode, whom it serves is the kernel's word (SO_PEERCRED)."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        before = os.umask(0o111 if others else 0o177)
        try:
            listener.bind(path)
        except OSError as error:
            raise UsageError(f"--socket {path}: {error.strerror or error}") from None
        finally:
            os.umask(before)
        try:
            listener.listen(1)
            yield listener
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _give_up_root() -> None:
    """Nothing that a run says is read before."""
    if os.geteuid() == 0:
        give_up_root(find_signer())
    set_dumpable(False)  # to become another user undoes it, where the kernel says so (fs.suid_dumpable)


def _find_user(user: str) -> int:
    try:
        entry = pwd.getpwuid(int(user)) if user.isascii() and user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise SandboxError(f"--peer {user}: there is no such user on this machine") from None
    return entry.pw_uid


def _end(*_: object) -> None:
    raise KeyboardInterrupt
