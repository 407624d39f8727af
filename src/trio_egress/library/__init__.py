"""trio-egress inside Python programs: judging attempts, and running commands, from whatever thread a program has."""
