"""A file of another tool is converted to a policy that loads, or is a PolicyError; nothing else is raised."""

from __future__ import annotations

from driver import fuzz, instrumented

from trio_egress.errors import PolicyError

with instrumented():
    from trio_egress.policy.foreign import TOOLS
    from trio_egress.policy.foreign.convert import convert
    from trio_egress.policy.load import load_policy


def check(raw: bytes) -> None:
    """The first byte says which tool."""
    tool = sorted(TOOLS)[raw[0] % len(TOOLS)] if raw else "squid"
    try:
        converted = convert(tool, raw[1:].decode("utf-8", "replace"), "f")
    except PolicyError:
        return
    policy = load_policy(converted.text, "f.toml")
    assert len(policy.rules) <= converted.rules


if __name__ == "__main__":
    fuzz(check, "foreign")
