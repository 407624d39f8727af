"""The policy that `trio-egress init` writes: commented, valid, and denying everything as it stands."""

from __future__ import annotations

from importlib.resources import files


def starter_policy(ending: str = ".toml") -> str:
    """The text of `starter.toml`, or of `starter.yaml`, both of which stand beside this module."""
    return files("trio_egress.policy").joinpath(f"starter{ending}").read_text(encoding="utf-8")
