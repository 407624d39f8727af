"""`trio-egress learn`: the least policy that allows what was seen, of a run that only observes or of evidence.

Observing is no enforcement, and says so everywhere: on standard error, in each receipt, in the packet and to whoever
verifies it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import attrs

from trio_egress.cli.exits import REFUSED
from trio_egress.errors import EvidenceError, TrioEgressError, UsageError
from trio_egress.evidence.attempts import Told, read_attempts, read_receipts
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.scan_form import SUPPRESSED
from trio_egress.model import INTERCEPTED, Layer, Protocol
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.learn import Learnt, Seen, learn
from trio_egress.policy.recall import recall_attempt
from trio_egress.policy.services import FETCH, find_git
from trio_egress.runtime.signals import Inbox
from trio_egress.runtime.spec import End, RunResult

OUTPUT_NAME = "trio-egress.toml"
_NEVER_RAN = (End.REFUSED, End.NOT_STARTED)


def main(options: argparse.Namespace, inbox: Inbox) -> int:
    """As `run`, which refuses without a command; 2 where nothing could be learnt or written."""
    try:
        if options.packets and options.argv:
            raise UsageError("give either --from PACKET or a command, not both")
        if options.packets:
            _write_learnt(options)
            return 0
        if options.argv in ([], ["--"]):
            usage = "trio-egress learn [options] -- COMMAND [ARG ...], or --from PACKET"
            print(f"trio-egress learn: nothing to learn from: {usage}", file=sys.stderr)
            return REFUSED
        return _observe(options, inbox)
    except EvidenceError as error:
        print(f"trio-egress learn: {escape_text(str(error))}", file=sys.stderr)
        return 2
    except TrioEgressError as error:
        print(f"trio-egress learn: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # what was learnt could not be written: a full disk
        print(f"trio-egress learn: cannot write the policy: {error.strerror}", file=sys.stderr)
        return 2


def _write_learnt(options: argparse.Namespace) -> None:
    learnt = learn_from([Path(packet) for packet in options.packets])
    if options.output is None:
        sys.stdout.write(learnt.text)
        return
    with _open_output(options.output) as file:
        file.write(learnt.text)
    _tell(learnt, options.output)


def _observe(options: argparse.Namespace, inbox: Inbox) -> int:
    from trio_egress.cli.run import choose_policy
    from trio_egress.cli.run import main as run

    # Before the output is there, which may have its name.
    options.policy_path = choose_policy(options, observing=True)
    output = options.output or OUTPUT_NAME
    # Opened with the caller's rights: by the end of a run that root started, they are given up.
    with _open_output(output) as file:

        def finish(result: RunResult) -> None:
            if result.end in _NEVER_RAN or result.ended_by is not None:
                return
            learnt = learn_from([result.evidence])
            file.write(learnt.text)
            _tell(learnt, output)

        try:
            return run(options, inbox, finish, (output,))
        finally:
            if file.tell() == 0:  # the run never was: nothing is in the way of the next try
                with suppress(OSError):
                    os.unlink(output)


def learn_from(paths: Sequence[Path], named: str = "") -> Learnt:
    """Raises EvidenceError where one can't be read."""
    named = named or ", ".join(path.name for path in paths)
    return learn(_see(paths), [f"Learnt from {named}. Read each rule before you trust it."])


def _see(paths: Iterable[Path]) -> Iterator[Seen]:
    for path in paths:
        for told in read_attempts(path):
            if (seen := _take(told)) is not None:
                yield seen
        for told in read_receipts(path):
            key = told.fact("host_key") if told.phase == "outcome" else ""
            if (told.parent_id or key) and (seen := _take(told)) is not None:
                yield attrs.evolve(seen, count=0, host_key=key)


def _take(told: Told) -> Seen | None:
    """None for what no rule is about: packets that were dropped, calls that were refused, bytes that named nothing."""
    try:
        protocol, host = Protocol(told.protocol), parse_host(told.host)
    except ValueError:
        return None
    if protocol is not Protocol.DNS and told.port == 0:
        return None
    if told.fact("tls") == INTERCEPTED:  # its requests tell more
        return None
    git = _find_git(told, protocol)
    if protocol is Protocol.SSH and git is None and told.layer == Layer.OPERATION.value:
        return None  # a shell, a tunnel: what would allow that is no rule for git
    secure = protocol is Protocol.HTTP and told.target.startswith("https://")
    return Seen(
        host,
        told.port,
        protocol,
        told.method or None,
        told.allowed,
        told.count,
        secure,
        tuple(finding.describe() for finding in told.findings if finding.action != SUPPRESSED),
        told.layer == Layer.SCAN.value and told.word("verdict") == "block",
        git=git,
    )


def _find_git(told: Told, protocol: Protocol) -> tuple[str, str] | None:
    """What of which repository git asked for over SSH."""
    attempt = recall_attempt(told.record, told.facts)
    found = find_git(attempt) if attempt is not None and protocol is Protocol.SSH else None
    return None if found is None else ("fetch" if found[1] == FETCH else "push", found[0].removeprefix("/"))


def _open_output(path: str) -> TextIO:
    try:
        return open(path, "x", encoding="utf-8")
    except FileExistsError:
        raise UsageError(f"{path} exists already and is left as it is: name another with --output") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _tell(learnt: Learnt, output: str) -> None:
    count = learnt.rules
    denied = f"; {learnt.denied} denied, as comments" if learnt.denied else ""
    print(f"trio-egress: wrote {output}: {count} rule{'' if count == 1 else 's'}{denied}", file=sys.stderr)
