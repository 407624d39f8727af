"""One run, from the first receipt to the last: recorder, sandbox, doors, agent, and back in the other order.

Everything that lives lives in nurseries that nest in that order; a child that fails cancels what is inside, and that
kills the agent. What ends a run is told by RunResult; only bugs come out as exceptions.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from trio_egress.errors import RecorderError, SandboxError, TrioEgressError
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import SigningKey
from trio_egress.kernel.counters import REFUSED_CALLS, Counters, read_books
from trio_egress.kernel.identity import describe_account
from trio_egress.kernel.lending import find_lent
from trio_egress.kernel.listeners import find_sockets
from trio_egress.kernel.mountinfo import parse_mountinfo
from trio_egress.kernel.mounts import View
from trio_egress.kernel.plan import Plan, plan_sandbox
from trio_egress.kernel.ssh_files import SshFiles
from trio_egress.kernel.streams import STREAMS
from trio_egress.kernel.trust import Trust, find_variables
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.known_hosts import render_known_hosts, render_ssh_config
from trio_egress.policy.packaged import render_includes
from trio_egress.proxy.approval import Approvals
from trio_egress.proxy.calls import Calls
from trio_egress.proxy.dial import forget_search_domains
from trio_egress.proxy.doors import Doors, open_doors
from trio_egress.proxy.drops import Drops
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.ledger import ABLE, Ledger
from trio_egress.proxy.names import Names
from trio_egress.recorder import Recorder, open_recorder
from trio_egress.runtime.agent import AgentEnd, end_early, end_inside, run_agent
from trio_egress.runtime.bodies import open_bodies
from trio_egress.runtime.git_relay import StartedRelay, open_git_relay
from trio_egress.runtime.held_policy import hold_policy
from trio_egress.runtime.inspection import open_inspection
from trio_egress.runtime.interception import find_trust, open_interception
from trio_egress.runtime.limits import find_limits
from trio_egress.runtime.measure import (
    BoundaryError,
    forget_probes,
    hash_posture,
    measure,
    measure_again,
    open_canaries,
    render_posture,
)
from trio_egress.runtime.orders import Orders, open_arrivals
from trio_egress.runtime.own import find_own
from trio_egress.runtime.places import find_places
from trio_egress.runtime.policy_file import find_files
from trio_egress.runtime.presence import show_presence
from trio_egress.runtime.protected import add_message, read_report
from trio_egress.runtime.reload import change, keep_policy
from trio_egress.runtime.rotation import keep_key
from trio_egress.runtime.sandbox import Sandbox, open_sandbox
from trio_egress.runtime.scan_cache import protect_cache
from trio_egress.runtime.seal import Record, open_evidence, seal
from trio_egress.runtime.session_book import Book
from trio_egress.runtime.spec import FLUSH_GRACE_SECONDS, HEARTBEAT_SECONDS, End, RunResult, RunSpec
from trio_egress.runtime.stop import hold_stop_file, keep_stop
from trio_egress.values import frozen

if TYPE_CHECKING:
    from trio_egress.proxy.bodies import Bodies
    from trio_egress.proxy.git_relay import GitRelay
    from trio_egress.proxy.inspection import Inspection
    from trio_egress.proxy.interception import Interception

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

SWITCH_SECONDS = 0.0005
"""How long another thread may keep the interpreter from the loop, which gives it up at each system call. The usual 5 ms
are as long as several requests. Where a thread signs (`--signer`), setting up tunnels takes an eighth less of the
processor with this."""


async def run(spec: RunSpec, earlier: Iterable[int] = ()) -> RunResult:
    """Run the agent in its sandbox and write the Audit Packet. `earlier`: signals that came before.

    Raises SandboxError when the evidence directory cannot be used: then there is nothing to seal.
    """
    forget_search_domains()
    sys.setswitchinterval(SWITCH_SECONDS)
    with open_arrivals(earlier) as arrivals, open_evidence(spec) as evidence:
        record = Record(evidence)
        try:
            async with trio.open_nursery() as nursery:
                orders = Orders()
                nursery.start_soon(orders.keep, arrivals)
                await _run_or_refuse(spec, record, orders)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            record.ended = _end_of_failure(group)
        return seal(spec, evidence, record)


async def _run_or_refuse(spec: RunSpec, record: Record, orders: Orders) -> None:
    """A run that never got as far as its recorder is evidence too: opened and closed, with nothing in between."""
    try:
        with orders.setup:
            await _run_sandboxed(spec, record, orders)
        if not orders.setup.cancelled_caught:
            return
        record.ended = end_early(orders)
    except SandboxError as error:
        record.ended = AgentEnd(End.REFUSED, message=str(error))
    async with _open_recorder(spec, record, apart=False) as recorder:
        recorder.conclude(record.ended.end.value)


async def _run_sandboxed(spec: RunSpec, record: Record, orders: Orders) -> None:
    """The sandbox, measured before anything is recorded of it, and once more when the agent is gone."""
    async with open_git_relay(spec.policy, spec.vault, spec.identities) as git:
        await _run_prepared(spec, record, orders, git)


async def _run_prepared(spec: RunSpec, record: Record, orders: Orders, git: StartedRelay | None) -> None:
    host_key = git.host_key if git is not None else ""
    # A thread: looking for what is protected takes as long as the working directory is big.
    view, plan, sight = await trio.to_thread.run_sync(_plan, spec, host_key, abandon_on_cancel=True)
    async with _open_sandbox(spec, plan) as sandbox:
        with open_canaries(sandbox.ports) as canaries:
            try:
                record.answers = await measure(sandbox, canaries, view)
            except BoundaryError as error:
                record.answers = error.answers
                record.posture = _render_posture(spec, plan, error.answers, sandbox)
                raise
            await forget_probes(sandbox)
            if git is not None:
                await git.wait_ready()
                sight = attrs.evolve(sight, git=git.relay)
            record.posture = _render_posture(spec, plan, record.answers, sandbox)
            await orders.leave_setup()
            async with _open_recorder(spec, record, apart=True) as recorder:
                try:
                    again = partial(measure_again, sandbox, canaries, view)
                    ended, facts = await _run_recorded(spec, record, recorder, sandbox, orders, again, sight)
                finally:
                    with trio.CancelScope(shield=True):
                        await sandbox.end()  # no agent outlives its record
                touched = read_report(sandbox.sockets["report"])
                recorder.conclude(ended.end.value, {**facts, "protected": touched})
                record.ended = add_message(ended, touched, spec.directory)


async def _run_recorded(
    spec: RunSpec,
    record: Record,
    recorder: Recorder,
    sandbox: Sandbox,
    orders: Orders,
    again: Callable[[], Awaitable[Counters]],
    sight: Sight,
) -> tuple[AgentEnd, dict[str, object]]:
    """Doors, agent; and the other way round: agent, doors, open connections, posture again, books.

    With what the close will say.
    """
    ledger = Ledger(observing=spec.observing)
    gate = Gate(
        spec.policy,
        recorder,
        Names(),
        ledger=ledger,
        interception=sight.interception,
        inspection=sight.inspection,
        bodies=sight.bodies,
        git=sight.git,
        vault=spec.vault,
        approvals=Approvals(spec.approver),
    )
    drops, calls = Drops(sandbox.sockets["log"], recorder), Calls(recorder)
    async with open_doors(sandbox.sockets, gate, drops) as doors:
        async with _open_reload(spec, record, gate, recorder, orders):
            ended = await _live(spec, sandbox, gate, recorder, orders, calls)
        await end_inside(sandbox, calls.record)
        doors.close(FLUSH_GRACE_SECONDS)
    counters = {**await _settle(sandbox, doors, again), REFUSED_CALLS: (calls.total, 0)}
    code = {"agent_exit_code": ended.code} if spec.host is None else {"commands": spec.host.commands}
    facts: dict[str, object] = {
        **code,
        "counters": {name: list(pair) for name, pair in counters.items()},
    }
    if ended.limit:
        facts["limit"] = ended.limit
    if spec.count_dropped is not None:
        facts["events_dropped"] = spec.count_dropped()
    return ended, facts


@asynccontextmanager
async def _open_sandbox(spec: RunSpec, plan: Plan) -> AsyncIterator[Sandbox]:
    """The agent has the caller's standard streams; a client's server has pipes, a session's commands their own."""
    own = nullcontext(STREAMS) if spec.client is None else spec.client.open_pipes()
    with own if spec.host is None else spec.host.open_streams() as streams:
        async with open_sandbox(plan, spec.identities, streams, spec.waiting) as sandbox:
            yield sandbox


async def _live(
    spec: RunSpec, sandbox: Sandbox, gate: Gate, recorder: Recorder, orders: Orders, calls: Calls
) -> AgentEnd:
    """The agent's life; that of a client's server with what both say to each other; a session's commands."""
    if spec.host is not None:
        book = Book(calls.record, recorder.tell_command, gate.in_force.settle)
        async with nullcontext() if spec.approver is None else spec.approver.use(None):
            return await spec.host.serve(sandbox, orders, spec.timeout_seconds, book)
    async with nullcontext() if spec.client is None else spec.client.carry(gate, recorder, orders):
        at_terminal = spec.client is None
        return await run_agent(
            sandbox,
            orders,
            spec.timeout_seconds,
            calls.record,
            at_terminal=at_terminal,
            line=spec.line,
            approver=spec.approver,
        )


@asynccontextmanager
async def _open_reload(
    spec: RunSpec, record: Record, gate: Gate, recorder: Recorder, orders: Orders
) -> AsyncIterator[None]:
    """Policy and key can be changed for as long as the body lasts, and whoever wants that finds this process."""
    places = find_places(spec.policy.files, str(spec.directory), spec.environment.get("HOME", "")).write
    with (
        show_presence(record.evidence.directory),
        hold_policy(spec.policy_path, spec.policy, (str(spec.directory), *places), spec.allowed) as held,
        hold_stop_file(spec.stop_file) as stop_file,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_policy, held, record, gate, recorder, orders.for_policy, spec.redactor)
            nursery.start_soon(keep_key, spec.next_keys, recorder, orders.for_key)
            stop = partial(change, record, gate, recorder)
            nursery.start_soon(keep_stop, gate, recorder, orders.for_stop, stop_file, stop)
            yield
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _open_recorder(spec: RunSpec, record: Record, *, apart: bool) -> AsyncIterator[Recorder]:
    """`apart`: there will be something to record, and it is worth a process."""
    chain = Chain(spec.key, _session(spec, record.posture), spec.redactor)
    own = all(isinstance(key, SigningKey) for key in (spec.key, *spec.next_keys))
    outside = spec.watch, spec.tell, spec.durable
    recorder: Recorder | None = None
    try:
        async with open_recorder(chain, record.evidence.journal, *outside, apart=apart and own) as recorder:
            yield recorder
    finally:
        if recorder is not None:
            record.refused, record.head, record.signer = recorder.refused, recorder.head, recorder.signer


async def _settle(sandbox: Sandbox, doors: Doors, again: Callable[[], Awaitable[Counters]]) -> Counters:
    """Measure again, end all traffic, close the books. What can't be counted can't be vouched for: RecorderError."""
    try:
        probed = await again()
        counters = await trio.to_thread.run_sync(read_books, sandbox.sockets)
    except SandboxError as error:
        raise RecorderError(f"the boundary could not be shown to have held to the end: {error}") from None
    for name, (packets, size) in probed.items():
        counters[name] = counters[name][0] - packets, counters[name][1] - size
    await doors.settle(counters)
    return counters


@frozen
class Sight:
    """What the proxy sees with: inside TLS, what is looked for, what bodies ask for, inside SSH; None where no rule
    wants it."""

    interception: Interception | None
    inspection: Inspection | None
    bodies: Bodies | None
    git: GitRelay | None = None


def _plan(spec: RunSpec, host_key: str) -> tuple[View, Plan, Sight]:
    interception = open_interception(spec.policy, spec.run_id)
    inspection = open_inspection(spec.policy, spec.redactor, os.environ, spec.sought)
    trust = find_trust(spec.policy, interception, spec.looked_at)
    view, limits = _view(spec, trust, host_key), find_limits(spec.policy.limits)
    environment = spec.environment
    if trust is not None:
        environment = find_variables(environment, dict(spec.policy.env.set), trust)
    command = () if spec.host is not None else spec.command
    plan = plan_sandbox(command, environment, spec.identities, view, spec.proxy_port, limits)
    if spec.caller is not None:
        plan = attrs.evolve(plan, directory_is=spec.caller.directory)
    return view, plan, Sight(interception, inspection, open_bodies(spec.policy))


def _find_planted(spec: RunSpec) -> Mapping[str, str]:
    """Files with canaries in them. What finds them is loaded already where there is anything to be looked for."""
    if not spec.sought:
        return {}
    from trio_egress.runtime.sought import list_planted

    return list_planted(spec.policy, spec.sought)


def _view(spec: RunSpec, trust: Trust | None, host_key: str) -> View:
    agent = spec.identities.agent
    home = spec.environment.get("HOME", "")
    files = find_places(spec.policy.files, str(spec.directory), home)
    kept = tuple(map(str, (spec.evidence, *spec.hidden)))
    return View(
        directory=str(spec.directory),
        home=home,
        owner=agent.uid,
        group=agent.gid,
        root=spec.identities.root,
        host=parse_mountinfo(Path("/proc/self/mountinfo").read_bytes()),
        write=files.write,
        hide=(*kept, *files.hide),
        kept=kept,
        protect=(
            *files.protect,
            *map(os.path.abspath, (*find_files(spec.policy_path, spec.policy), *spec.protected)),
            *protect_cache(os.environ, (str(spec.directory), *files.write)),
        ),
        own=find_own(str(spec.directory), files.write).kept,
        account=describe_account(spec.identities, home),
        path=spec.looked_at.get("PATH", os.defpath),
        lent=find_lent(
            str(spec.directory), spec.identities.root and spec.caller is None, agent.uid, agent.gid
        ),
        trust=trust,
        planted=_find_planted(spec),
        ssh=SshFiles(render_known_hosts(spec.policy, host_key), render_ssh_config(spec.policy)),
        sockets=find_sockets(Path("/proc/net/unix").read_text("utf-8", "surrogateescape")),
    )


def _render_posture(spec: RunSpec, plan: Plan, answers: Mapping[str, str], sandbox: Sandbox) -> bytes:
    posture = render_posture(plan, answers, sandbox.launched.bare)
    return spec.redactor.redact(posture.decode("ascii")).encode("ascii")


def _session(spec: RunSpec, posture: bytes) -> Session:
    agent = spec.identities.agent
    includes = render_includes(spec.policy)
    return Session(
        run_id=spec.run_id,
        run_nonce=os.urandom(16).hex(),
        open_nonce=os.urandom(16).hex(),
        policy_hash=policy_hash(spec.policy),
        heartbeat_seconds=HEARTBEAT_SECONDS,
        principal=f"uid:{agent.uid}",
        actor=spec.agent_name,
        containment_nonce=os.urandom(16).hex(),
        contained_uid=str(agent.uid),
        posture_capsule_sha256=hash_posture(posture) if posture else "",
        policy_sha256=spec.policy.sources[0].sha256 if spec.policy.sources else "",
        policy_includes_sha256=hashlib.sha256(includes).hexdigest() if includes else "",
        observing=spec.observing,
        able=tuple(sorted(need.value for need in ABLE)),
    )


def _end_of_failure(group: BaseExceptionGroup[BaseException]) -> AgentEnd:
    """What a run's failure means: evidence that could not be written is an end; anything else is a bug, and raised."""
    known, bugs = group.split(TrioEgressError)
    if bugs is not None or known is None:
        raise group
    error: BaseException = known
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    end = End.INCOMPLETE if isinstance(error, RecorderError) else End.REFUSED
    return AgentEnd(end, message=f"the run was ended: {error}")
