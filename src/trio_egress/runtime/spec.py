"""What a run is asked to do, and what came of it: values only."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from trio_egress.evidence.anchor import Anchor
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.redact import Redactor
from trio_egress.evidence.sign import Signer
from trio_egress.kernel.identity import Identities, Ids
from trio_egress.policy.rule import Policy
from trio_egress.proxy.vault import Vault
from trio_egress.recorder import Durable
from trio_egress.runtime.live_line import LiveLine
from trio_egress.runtime.secrets import make_commitment_key
from trio_egress.values import frozen

if TYPE_CHECKING:
    from trio_egress.kernel.waiting import Waiting
    from trio_egress.runtime.program_approver import ProgramApprover
    from trio_egress.runtime.serving import Host
    from trio_egress.runtime.sought import Value
    from trio_egress.runtime.stdio import Client
    from trio_egress.runtime.terminal_approver import TerminalApprover

PROXY_PORT = 8888
TERM_GRACE_SECONDS = 2.0
"""How long an agent may take to end after SIGTERM or its time-out. CI runners kill everything 2.5 s after SIGTERM."""

FLUSH_GRACE_SECONDS = 0.5
"""How long open connections may finish passing on what an agent that has ended had sent."""

HEARTBEAT_SECONDS = 30


@frozen
class Caller:
    """For whom a run is, where that is not who started this process (`trio-egress serve`): the agent is this user.

    `environment`: theirs. `directory`: device and inode of the working directory that they have handed over; what has
    its path later must be that one. None where its path can't be made to lead elsewhere.
    """

    agent: Ids
    environment: Mapping[str, str] = attrs.field(repr=False)
    directory: tuple[int, int] | None


@frozen
class RunSpec:
    """One run.

    `environment` is what the agent will see, `hidden` what it will not: the key, other evidence. `protected`:
    files that are written when it has ended, which it can't write. `pinned`: the key is the operator's and was not made
    for this run. `provenance` and `ci`: `environment.find_provenance` and `find_ci`.
    """

    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    policy: Policy
    policy_path: Path
    evidence: Path
    key: Signer
    identities: Identities
    run_id: str
    pinned: bool = False
    next_keys: tuple[Signer, ...] = ()
    """The keys that sign from when one is asked for (`trio-egress keys rotate`), in order."""

    provenance: Mapping[str, str] = attrs.field(factory=dict)
    ci: Mapping[str, str] = attrs.field(factory=dict)
    hidden: tuple[Path, ...] = ()
    protected: tuple[Path, ...] = ()
    timeout_seconds: float | None = None
    stop_file: Path | None = None
    """All egress stops when it is there."""

    observing: bool = False
    """Nothing is enforced, but for private addresses: see policy/observe.py."""

    name: str = ""
    """What the agent is called in receipts, where it is not the name of its program."""

    allowed: tuple[str, ...] = ()
    """Destinations that the command line adds to the policy, as it does to each that comes after it."""

    proxy_port: int = PROXY_PORT
    watch: Callable[[Draft], None] | None = None
    tell: Callable[[Anchor], None] | None = None
    """Of each state of the log that has a checkpoint: see recorder.py."""

    durable: Durable | None = None
    """What is told of each group of receipts that is on disk: see recorder.py."""

    count_dropped: Callable[[], int] | None = None
    """How many copies of receipts for others were dropped so far, where any are made."""

    redactor: Redactor = attrs.field(factory=lambda: Redactor(make_commitment_key()))
    """What keeps the policy's secrets out of everything that is recorded or said."""

    sought: tuple[Value, ...] = ()
    """What else is looked for in what passes."""

    vault: Vault = attrs.field(factory=Vault, repr=False)
    """Those that the agent never has."""

    approver: TerminalApprover | ProgramApprover | None = attrs.field(default=None, eq=False, repr=False)
    """Who is asked about what rules with `ask` allow."""

    line: LiveLine | None = attrs.field(default=None, eq=False, repr=False)
    """Of status, kept below the agent's output where the caller is at a terminal."""

    client: Client | None = attrs.field(default=None, eq=False, repr=False)
    """Of the MCP server that the agent is; where it is none, it has the caller's standard streams."""

    host: Host | None = attrs.field(default=None, eq=False, repr=False)
    """Whose session it is; `command` is then what the session is called, and the host asks for commands."""

    waiting: Waiting | None = attrs.field(default=None, eq=False, repr=False)
    """A launcher that was started early; it has the caller's standard streams."""

    caller: Caller | None = attrs.field(default=None, repr=False)
    """Nothing is lent to them, as root's rights would have it."""

    @property
    def looked_at(self) -> Mapping[str, str]:
        """The variables that say where something of the host is; a caller's say nothing, since it is not their rights
        with which that would be read."""
        return self.environment if self.caller is None else {}

    @property
    def agent_name(self) -> str:
        return self.name or os.path.basename(self.command[0])


class End(enum.Enum):
    """How a run ended; the values are the close receipt's reasons."""

    EXITED = "agent_exited"
    OVER_LIMIT = "limit_exceeded"
    TIMED_OUT = "timed_out"
    TERMINATED = "terminated"
    INTERRUPTED = "interrupted"
    KILLED = "sandbox_killed"
    NOT_STARTED = "agent_not_started"
    REFUSED = "refused"
    INCOMPLETE = "evidence_incomplete"


@frozen
class RunResult:
    """What came of a run. `agent_code` is its exit code, negative for a signal, None when it never ran or was lost.

    `ended_by`: the signal that ended the run before the agent ran. `touched`: protected files are not as they were, or
    could not be compared.
    """

    end: End
    evidence: Path
    run_id: str
    agent_code: int | None = None
    message: str = ""
    refused: int = 0
    head: str = ""
    not_found: bool = False
    ended_by: int | None = None
    touched: bool = False
