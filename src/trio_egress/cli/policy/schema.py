"""`trio-egress policy schema`: the JSON Schema of a policy file."""

from __future__ import annotations

import argparse
import json

from trio_egress.policy.schema import render_schema


def main(_options: argparse.Namespace) -> int:
    print(json.dumps(render_schema(), indent=2))
    return 0
