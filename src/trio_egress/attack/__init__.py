"""The longer attacks of `trio-egress doctor --attack`: tried inside a real run, and judged from outside."""
