"""The policy that `trio-egress init` writes: commented, valid, and denying everything as it stands."""

from __future__ import annotations

from importlib.resources import files


def starter_policy() -> str:
    """The text of `starter.toml`, which stands beside this module."""
    return files("trio_egress.policy").joinpath("starter.toml").read_text(encoding="utf-8")
