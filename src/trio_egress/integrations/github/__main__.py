"""`python -I -m trio_egress.integrations.github`: the action, with its inputs in the environment."""

from __future__ import annotations

import sys

from trio_egress.integrations.github.action import main

sys.exit(main())
