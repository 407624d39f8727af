"""The policy of a run that lives: presets as the run began, and no code is loaded for another one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trio_egress.errors import PolicyError
from trio_egress.runtime import held_policy
from trio_egress.runtime.held_policy import hold_policy
from trio_egress.runtime.policy_file import read_policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'
YAML = 'version: "1.0"\ndefault_deny: true\n'


def test_presets_are_those_that_the_run_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(HEAD)
    with hold_policy(path, read_policy(path)[1], ()) as held:
        monkeypatch.delattr(held_policy, "read_preset")
        path.write_text(HEAD + 'include = ["preset:openai"]\n')
        assert [source.name for source in held.read().sources] == ["agent.toml", "preset:openai"]


def test_a_run_that_began_without_yaml_includes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(HEAD)
    (tmp_path / "b.yaml").write_text(YAML)
    with hold_policy(path, read_policy(path)[1], ()) as held:
        path.write_text(HEAD + 'include = ["b.yaml"]\n')
        monkeypatch.delitem(sys.modules, "yaml", raising=False)
        with pytest.raises(PolicyError, match=r'cannot read "b.yaml": the run began without YAML'):
            held.read()
        assert "yaml" not in sys.modules


def test_a_run_that_began_with_yaml_includes_more_of_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(YAML)
    (tmp_path / "b.yaml").write_text(YAML)
    with hold_policy(path, read_policy(path)[1], ()) as held:
        path.write_text(YAML + "include: [b.yaml]\n")
        assert [source.name for source in held.read().sources] == ["agent.yaml", "b.yaml"]
