"""Run an untrusted agent in a sandbox whose only way out is a policy proxy that signs what it saw.

Public names are looked up on first use, so that importing one part (the verifier, say) never loads another
(trio, sockets, TLS).
"""

TYPE_CHECKING = False  # as `typing` has it, which the launcher would have to load for this line
if TYPE_CHECKING:
    from trio_egress.errors import (
        EvidenceError,
        PolicyError,
        Problem,
        SandboxError,
        TrioEgressError,
        UsageError,
    )
    from trio_egress.evidence.report import Report, Verdict
    from trio_egress.library.commands import PIPE, CommandDeniedError, Done
    from trio_egress.library.deciding import Question
    from trio_egress.library.event import Event
    from trio_egress.library.judging import Policy
    from trio_egress.library.processes import AsyncProcess, Process
    from trio_egress.library.result import Denied, DeniedError, Packet, Run
    from trio_egress.library.running import run
    from trio_egress.library.sandbox import Sandbox
    from trio_egress.library.trio_sandbox import TrioProcess, TrioSandbox, open_sandbox
    from trio_egress.model import Attempt, Decision, Layer, Protocol, Transport
    from trio_egress.policy.hosts import parse_host
    from trio_egress.verification import verify

__version__ = "0.1.0"

__all__ = [
    "PIPE",
    "AsyncProcess",
    "Attempt",
    "CommandDeniedError",
    "Decision",
    "Denied",
    "DeniedError",
    "Done",
    "Event",
    "EvidenceError",
    "Layer",
    "Packet",
    "Policy",
    "PolicyError",
    "Problem",
    "Process",
    "Protocol",
    "Question",
    "Report",
    "Run",
    "Sandbox",
    "SandboxError",
    "Transport",
    "TrioEgressError",
    "TrioProcess",
    "TrioSandbox",
    "UsageError",
    "Verdict",
    "__version__",
    "open_sandbox",
    "parse_host",
    "run",
    "verify",
]

_PLACES = {
    **dict.fromkeys(
        ("EvidenceError", "PolicyError", "Problem", "SandboxError", "TrioEgressError", "UsageError"), "errors"
    ),
    **dict.fromkeys(("Report", "Verdict"), "evidence.report"),
    **dict.fromkeys(("PIPE", "CommandDeniedError", "Done"), "library.commands"),
    "Policy": "library.judging",
    "Question": "library.deciding",
    **dict.fromkeys(("Denied", "DeniedError", "Packet", "Run"), "library.result"),
    "run": "library.running",
    **dict.fromkeys(("AsyncProcess", "Process"), "library.processes"),
    "Sandbox": "library.sandbox",
    "Event": "library.event",
    **dict.fromkeys(("TrioProcess", "TrioSandbox", "open_sandbox"), "library.trio_sandbox"),
    **dict.fromkeys(("Attempt", "Decision", "Layer", "Protocol", "Transport"), "model"),
    "parse_host": "policy.hosts",
    "verify": "verification",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"trio_egress.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
