"""`trio-egress policy schema`: a JSON Schema of the policy file, for editors."""

from __future__ import annotations

import argparse
import sys

from trio_egress.policy.schema import render_schema


def main(_options: argparse.Namespace) -> int:
    sys.stdout.write(render_schema())
    return 0
