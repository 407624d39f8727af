"""The presets that a policy can include by name: the destinations of one service each, as the service documents them.

Data files beside this module, so that a reviewer can read what a name stands for. Package registries are no presets:
which ones are trusted is the user's to say.
"""

from __future__ import annotations

from importlib.resources import files

PRESET = "preset:"
PRESETS = ("anthropic", "github", "huggingface", "openai")


def read_preset(name: str) -> bytes:
    """The policy file of `preset:` and one of PRESETS."""
    file = f"{name.removeprefix(PRESET)}.toml"
    return files("trio_egress.policy").joinpath("presets").joinpath(file).read_bytes()
