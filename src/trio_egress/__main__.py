"""`python -m trio_egress` is `trio-egress`."""

import sys

from trio_egress.cli.main import main

sys.exit(main())
