"""The attacking program, inside and, for the controls, outside: one JSON object a row, on standard output.

Standard library only. What it is told comes in the variable TARGETS: kernel/attacks.py has the rows' names.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from trio_egress.attack.boundary import list_boundary
from trio_egress.attack.network import list_network, reach_allowed
from trio_egress.attack.places import list_places
from trio_egress.attack.tries import Try, answer_of

Targets = dict[str, Any]


def list_attacks(targets: Targets) -> dict[str, Try]:
    """Every longer attack by its row's name, none of them done."""
    return {**list_network(targets), **list_places(targets), **list_boundary(targets)}


def main() -> None:
    """The rows that are asked for, the one after the other; and whether what is allowed gets through."""
    targets: Targets = json.loads(os.environ["TARGETS"])
    attacks = list_attacks(targets)
    for name in targets["rows"]:
        tell(name, answer_of(attacks[name]))
    if targets["allowed"]:
        tell("allowed", reach_allowed(targets))


def tell(name: str, answer: str) -> None:
    sys.stdout.write(json.dumps({"row": name, "answer": answer}) + "\n")
    sys.stdout.flush()
