"""`trio-egress init`: write the starter policy, never over anything."""

from __future__ import annotations

import argparse
import sys

from trio_egress.policy.part import YAML_ENDINGS
from trio_egress.policy.starter import starter_policy


def main(options: argparse.Namespace) -> int:
    """0 written; 2 it could not be."""
    ending = ".yaml" if options.path.lower().endswith(YAML_ENDINGS) else ".toml"
    try:
        with open(options.path, "x", encoding="utf-8") as file:
            file.write(starter_policy(ending))
    except FileExistsError:
        print(f"trio-egress init: {options.path} exists already and is left as it is", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"trio-egress init: cannot write {options.path}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"trio-egress: wrote {options.path}; edit it, then: trio-egress run -- COMMAND", file=sys.stderr)
    return 0
