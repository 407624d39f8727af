"""The presets that a policy can include by name: the destinations of one service each, as the service documents them.

Data files beside this module, so that a reviewer can read what a name stands for. Package registries are no presets:
which ones are trusted is the user's to say.
"""

from __future__ import annotations

from pathlib import Path

PRESET = "preset:"
PRESETS = ("anthropic", "github", "huggingface", "openai")


def read_preset(name: str) -> bytes:
    """The policy file of `preset:` and one of PRESETS."""
    return Path(__file__).with_name("presets").joinpath(f"{name.removeprefix(PRESET)}.toml").read_bytes()
