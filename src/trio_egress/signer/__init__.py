"""A signing key outside the process that parses the agent's bytes: its program, and the run's way to it."""
