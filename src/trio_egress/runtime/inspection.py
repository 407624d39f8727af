"""What a run needs to look through what passes, where its policy asks for that: made before the sandbox.

Rule 1: everything that it will take is loaded and done once here: nothing is imported once the agent runs.
Rule 2: what it looks for of the run itself is in memory alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from trio_egress.evidence.redact import Redactor
from trio_egress.policy.rule import Policy
from trio_egress.runtime.detectors import has_scans, load_detectors

if TYPE_CHECKING:
    from trio_egress.proxy.inspection import Inspection
    from trio_egress.runtime.sought import Value


def open_inspection(
    policy: Policy, redactor: Redactor, environment: Mapping[str, str], sought: Iterable[Value] = ()
) -> Inspection | None:
    """None where no rule has anything looked through. `environment`: the caller's. Raises PolicyError."""
    if not has_scans(policy):
        return None
    from trio_egress.content.detector import Way
    from trio_egress.content.exact import Exact, list_detectors
    from trio_egress.content.fragments import Fragments
    from trio_egress.proxy.inspection import Inspection
    from trio_egress.runtime.scan_cache import open_scanner
    from trio_egress.wire.coding import load_codings

    load_codings()
    values = [Exact(name, redactor.value_of(name)) for name in redactor.names]
    values += [Exact(each.name, each.value, each.kind, each.told) for each in sought]
    scanner = open_scanner(load_detectors(policy), list_detectors(values), environment)
    scanner.scan(b"rule 1", Way.BOTH)
    return Inspection(scanner, {each.name: each.value for each in values}, Fragments(values))
