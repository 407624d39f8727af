"""The command line of the controls: `python supervisor.py run …` is `trio-egress run …` with the named steps off.

Nothing of this is in the product: what is replaced is replaced in this process, and in a launcher of the test's own.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs

import trio_egress
from trio_egress.cli import run_keys
from trio_egress.cli.main import main
from trio_egress.evidence.sign import SigningKey, parse_private_key
from trio_egress.kernel import apply, netlink, nft, waiting
from trio_egress.kernel.plan import Plan
from trio_egress.kernel.seccomp import Filters
from trio_egress.model import Attempt, Decision, Layer, Protocol, Upstream
from trio_egress.policy.rule import Policy
from trio_egress.proxy import dial, dns, judge
from trio_egress.recorder import Flow
from trio_egress.runtime import agent, sandbox, supervisor
from trio_egress.runtime.environment import CONTAINERS

OFF = os.environ["ESCAPES_OFF"].split(",")
ALLOW_ALL = struct.pack("<HBBI", 6, 0, 0, 0x7FFF_0000)


def allow_everything(policy: Policy, attempt: Attempt, *_: object) -> Decision:
    dns_query = attempt.protocol is Protocol.DNS
    upstream = None if dns_query else Upstream(attempt.host, attempt.port, allow_private=True)
    return Decision(True, next(iter(Layer)), "everything is allowed", None, upstream)


def weaken_plan(plan: Plan) -> Plan:
    if "seccomp" in OFF:
        plan = attrs.evolve(plan, seccomp=Filters(ALLOW_ALL, ALLOW_ALL))
    if "view" in OFF:
        # What the view hides, Landlock would still keep from being written; its places are the view's own.
        resources = attrs.evolve(plan.resources, private=())
        plan = attrs.evolve(plan, mounts=(), resources=resources)
    if "view" in OFF or "landlock" in OFF:
        plan = attrs.evolve(plan, landlock=attrs.evolve(plan.landlock, abi=0))
    if "environment" in OFF:
        replaced = {name: os.environ[name] for name in CONTAINERS if name in os.environ}
        plan = attrs.evolve(plan, environment={**os.environ, **plan.environment, **replaced})
    return plan


def start_weak_launcher(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
    program = str(Path(__file__).with_name("launcher.py"))
    source = str(Path(trio_egress.__file__).parent.parent)
    if "descriptors" in OFF:
        inherited = [int(name) for name in os.listdir("/proc/self/fd") if int(name) >= 200]
        options["pass_fds"] = (*options["pass_fds"], *(n for n in inherited if os.get_inheritable(n)))
    at = next(place for place, word in enumerate(arguments) if word.endswith("launcher.py"))
    return subprocess.Popen([*arguments[:at], program, *arguments[at + 1 :], source], **options)


class Subprocess:
    """What `kernel/waiting.py` uses of the module."""

    Popen = staticmethod(start_weak_launcher)


def no_counters(*_: object, **__: object) -> Mapping[str, tuple[int, int]]:
    return dict.fromkeys(nft.COUNTERS, (0, 0))


async def measure_nothing(*_: object) -> dict[str, Any]:
    """Every control is a sandbox that the product would measure, and refuse to start the agent in."""
    return {}


def read_any_key(path: str) -> SigningKey:
    return parse_private_key(Path(path).read_bytes())


def take_off() -> None:
    plan_sandbox = vars(supervisor)["plan_sandbox"]
    replaced: dict[str, list[tuple[Any, str, Any]]] = {
        "policy": [
            (judge, "answer", allow_everything),
            (dns, "answer", allow_everything),
        ],
        "address": [(dial, "is_outside", lambda _: True)],
        "agreement": [
            (judge, "_name_of_hello", lambda door, _: door.host),
            (judge, "_target", lambda door, _: (door.host, door.port)),
        ],
        "network": [
            (apply, "_configure_network", lambda _: None),
            (netlink, "read_counters", no_counters),
        ],
        "streams": [(sandbox, "check_streams", lambda: None)],
        "links": [(run_keys, "read_private_key", read_any_key)],
        "terminal": [(agent, "open_terminal", nullcontext)],
        "outcome": [(Flow, "__exit__", lambda *_: None)],
    }
    for step in OFF:
        for module, name, replacement in replaced.get(step, ()):
            if not hasattr(module, name):
                raise AttributeError(f"{module.__name__} has no {name} any more: mend this control")
            setattr(module, name, replacement)
    for name in ("measure", "measure_again"):
        setattr(supervisor, name, measure_nothing)
    setattr(run_keys, "check_owner", lambda *_: None)  # noqa: B010  the key is the agent's, for the attacks that read it
    setattr(waiting, "subprocess", Subprocess)  # noqa: B010
    setattr(supervisor, "plan_sandbox", lambda *given, **named: weaken_plan(plan_sandbox(*given, **named)))  # noqa: B010


take_off()
sys.exit(main(sys.argv[1:]))
