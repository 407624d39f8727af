"""`python -m trio_egress.fuzzing`."""

from __future__ import annotations

import sys

from trio_egress.fuzzing.command import main

if __name__ == "__main__":
    sys.exit(main())
