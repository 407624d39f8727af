"""Who is asked about what rules with `ask` allow, by the command line; and what is said of it at the start."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from trio_egress.cli.voice import Say
from trio_egress.errors import UsageError
from trio_egress.runtime.spec import RunSpec

if TYPE_CHECKING:
    from trio_egress.runtime.program_approver import ProgramApprover
    from trio_egress.runtime.terminal_approver import TerminalApprover

DENIED = "what rules with `ask` allow is denied"


def find_approver(
    options: argparse.Namespace, spec: RunSpec, say: Say
) -> TerminalApprover | ProgramApprover | None:
    """`--ask-fd`: of the socket to the program that has asked for this run."""
    if options.ask_fd is not None:
        from trio_egress.runtime.program_approver import ProgramApprover

        if options.ask:
            raise UsageError("--ask and --ask-fd: give one of them; one approver is asked")
        try:
            return ProgramApprover(options.ask_fd)
        except (OSError, OverflowError, ValueError):
            raise UsageError(f"--ask-fd {options.ask_fd}: not a stream socket of this process") from None
    asks = any(rule.terms.ask is not None for rule in spec.policy.rules)
    if spec.observing:
        if asks or options.ask:
            say(
                "nobody is asked while nothing is enforced: what rules with `ask` allow is let through and recorded"
            )
        return None
    if not options.ask:
        if asks and not options.quiet:
            say(f"nobody can be asked in this run, so {DENIED}; --ask asks at the terminal")
        return None
    from trio_egress.runtime.terminal_approver import TerminalApprover, find_person

    person = find_person()
    if person is None:
        say(f"--ask: there is no terminal to ask at, so {DENIED}")
        return None
    if not asks and not options.quiet:
        say("--ask: no rule of the policy asks")
    return TerminalApprover(person)
