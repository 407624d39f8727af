"""Another policy for a run that lives: read again from the same file, put in force whole or not at all.

Rule 1: a policy with any error, or one that can't be read any more, changes nothing, and the refusal is a receipt.
Rule 2: what was built into the sandbox ([files], [env], [limits], [tls], and for whom the run's authority vouches)
        can't change, nor can what is secret and the way out ([upstream]): a policy that does is refused.
Rule 3: a change is a receipt with both hashes and what it did to open connections; what follows is signed under the
        new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import attrs
import trio

from trio_egress.errors import PolicyError, UsageError
from trio_egress.evidence.redact import Redactor
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.packaged import render_includes
from trio_egress.policy.rule import Policy
from trio_egress.policy.ssh_secrets import find_git_rules
from trio_egress.proxy.gate import Gate
from trio_egress.recorder import Recorder
from trio_egress.runtime.bodies import can_read
from trio_egress.runtime.detectors import find_unknown, has_scans
from trio_egress.runtime.held_policy import HeldPolicy
from trio_egress.runtime.seal import Record
from trio_egress.runtime.secrets import find_told

BUILT_IN = {
    "files": "[files]",
    "env": "[env]",
    "limits": "[limits]",
    "roots": "[tls]",
    "endpoints": "`proxy_path`",
    "upstream": "[upstream]",
    "secrets": "[[secret]]",
    "sought": "what [scan] looks for",
}
REASON_CHARS = 500


async def keep_policy(
    held: HeldPolicy,
    record: Record,
    gate: Gate,
    recorder: Recorder,
    requests: AsyncIterator[None],
    redactor: Redactor,
) -> None:
    """Read the policy again for each request, for as long as the agent runs."""
    async for _ in requests:
        if gate.ledger.stopped:
            recorder.refuse_policy(f"the policy was not changed: {gate.ledger.stopped}")
            continue
        try:
            policy = await trio.to_thread.run_sync(held.read, abandon_on_cancel=True)
        except (PolicyError, UsageError) as error:
            recorder.refuse_policy(f"the policy was not changed: {_tell_first(error)[:REASON_CHARS]}")
            continue
        if fixed := _find_fixed(gate, policy):
            recorder.refuse_policy(f"the policy was not changed: {fixed} can't change during a run")
        elif told := find_told(redactor, policy.sources):
            recorder.refuse_policy(f"the policy was not changed: {told} has the value of a secret in it")
        elif unknown := _find_misspelt(gate, policy):
            recorder.refuse_policy(f"the policy was not changed: {unknown[:REASON_CHARS]}")
        else:
            change(record, gate, recorder, _stay_signed_in(policy, gate.policy))


def _tell_first(error: PolicyError | UsageError) -> str:
    """In one line: the first problem, and how many more there are."""
    if not isinstance(error, PolicyError):
        return str(error)
    first = str(error).partition("\n")[0]
    count = len(error.problems) - 1
    return f"{first} (and {count} more)" if count > 0 else first


def _stay_signed_in(policy: Policy, old: Policy) -> Policy:
    """Both name the same upstream proxy; what it is told of who we are was read when the run began."""
    return policy if old.upstream is None else attrs.evolve(policy, upstream=old.upstream)


def _find_fixed(gate: Gate, new: Policy) -> str:
    changed = [
        table for field, table in BUILT_IN.items() if getattr(gate.policy, field) != getattr(new, field)
    ]
    seen = find_intercepted(new)
    authority = gate.interception.authority if gate.interception is not None else None
    if seen and not (authority is not None and all(map(authority.covers, seen))):
        changed.append("whose TLS is ended")
    if has_scans(new) and gate.inspection is None:
        changed.append("whether anything is looked through")
    if not can_read(gate.bodies, new):
        changed.append("whether bodies are read")
    if gate.git is None and any(find_git_rules(new)):
        changed.append("whether git is carried over SSH")
    return " and ".join(changed)


def _find_misspelt(gate: Gate, new: Policy) -> str:
    """The first word for a detector that is none."""
    if gate.inspection is None:
        return ""
    names = {detector.name for detector in gate.inspection.scanner.detectors}
    return next(map(str, find_unknown(new, names)), "")


def change(
    record: Record, gate: Gate, recorder: Recorder, policy: Policy, stopped: str | None = None
) -> None:
    """Put another policy in force, with its receipt. `stopped`: why, where it is to allow nothing any more.

    Not a checkpoint: nothing is judged between the receipt and the change.
    """
    old, includes = gate.policy, render_includes(policy)
    gate.in_force.settle()
    changed = gate.in_force.preview(policy, gate.ledger)
    facts = {
        "policy_from": policy_hash(old),
        "policy_sha256": policy.sources[0].sha256 if policy.sources else None,
        "policy_includes_sha256": hashlib.sha256(includes).hexdigest() if includes else None,
        "connections_kept": changed.kept,
        "connections_ended": changed.ended,
        "stopped": stopped,
    }
    recorder.change_policy(policy_hash(policy), facts)
    gate.in_force.change(policy, gate.ledger)
    record.policies.append(policy)
