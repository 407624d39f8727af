"""Hostile and mistaken inputs: refused by name before anything runs, and no key in a message."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.action.steps import KEY, KEY_TEXT

from trio_egress.errors import UsageError
from trio_egress.evidence.sign import render_private_pem, render_public_key
from trio_egress.integrations.github.inputs import SHELL, Inputs, read_inputs, strip_inputs


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """With links that lead out, as a pull request may bring them."""
    workspace = tmp_path / "repo"
    (workspace / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "agent.sh").write_text("")
    (workspace / "out").symlink_to(tmp_path / "outside")
    (workspace / "agent.sh").write_text("")
    return workspace


def read(workspace: Path, **inputs: str) -> Inputs:
    named = {f"INPUT_{name.upper()}": text for name, text in inputs.items()}
    return read_inputs({"GITHUB_WORKSPACE": str(workspace), **named})


PATHS = ("script_path", "policy", "audit_packet_dir", "sarif", "working_directory")


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    "path", ["../outside/agent.sh", "/etc/passwd", "out/agent.sh", "sub/../../outside", "out"]
)
def test_no_path_leaves_the_working_directory(workspace: Path, name: str, path: str) -> None:
    script = {} if name == "script_path" else {"run": "true"}
    with pytest.raises(UsageError, match=f"^{name.replace('_', '-')}: .* leaves "):
        read(workspace, **script, **{name: path})


def test_below_another_working_directory_the_rest_of_the_workspace_is_outside(workspace: Path) -> None:
    with pytest.raises(UsageError, match="leaves working-directory"):
        read(workspace, script_path="../agent.sh", working_directory="sub")
    assert read(workspace, run="true", working_directory="sub").directory == workspace / "sub"


@pytest.mark.parametrize("name", [*PATHS, "mode", "agent_identity", "fail_on", "summary", "debug"])
@pytest.mark.parametrize("text", ["a\n::error::forged", "a\r", "a\x1b[31m", "a\u2028b"])
def test_what_has_one_line_has_no_second(workspace: Path, name: str, text: str) -> None:
    script = {} if name == "script_path" else {"run": "true"}
    with pytest.raises(UsageError) as caught:
        read(workspace, **script, **{name: f"x{text}x"})
    assert str(caught.value).startswith(f"{name.replace('_', '-')}: it has a line break")
    assert "forged" not in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "there is nothing to run"),
        ({"run": " \n"}, "there is nothing to run"),
        ({"run": "true", "script_path": "agent.sh"}, "not both"),
        ({"script_path": "sub"}, "is no file"),
        ({"script_path": "missing.sh"}, "is no file"),
        ({"run": "x" * 120_001}, "put it into a file"),
        ({"run": "true", "mode": "off"}, "mode: 'off' is none of enforce, observe"),
        ({"run": "true", "debug": "yes"}, "debug: 'yes' is none of false, true"),
        ({"run": "true", "fail_on": "always"}, "fail-on: 'always' is not never"),
        ({"run": "true", "fail_on": "never,deny"}, "fail-on: "),
        ({"run": "true", "agent_identity": "x" * 129}, "agent-identity: "),
        ({"run": "true", "audit_packet_dir": "."}, "a directory of its own"),
        ({"run": "true", "working_directory": "missing"}, "is no directory"),
        ({"run": "true", "public_key": "not-a-key"}, "neither a public key nor a file"),
        ({"run": "true", "public_key": "00" * 32}, "public-key: "),
    ],
)
def test_a_mistake_is_told_by_the_inputs_name(workspace: Path, inputs: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(workspace, **inputs)


@pytest.mark.parametrize("cut", [-4, 40, 20])
def test_a_broken_key_is_not_repeated(workspace: Path, cut: int) -> None:
    for text in (KEY_TEXT[:cut], render_private_pem(KEY).decode()[:cut], KEY_TEXT.splitlines()[1]):
        with pytest.raises(UsageError) as caught:
            read(workspace, run="true", private_key=text)
        assert not any(len(word) > 20 and word in text for word in str(caught.value).split())


@pytest.mark.parametrize("path", ["../outside/agent.sh", "out/agent.sh", "/etc/hostname", "missing.key"])
def test_a_private_key_elsewhere_is_none(workspace: Path, path: str) -> None:
    with pytest.raises(UsageError, match="private-key"):
        read(workspace, run="true", private_key=path)


def test_keys_come_as_text_or_as_files(workspace: Path) -> None:
    (workspace / "ci.key.pub").write_bytes(render_public_key(KEY.public_hex))
    (workspace / "ci.key").write_text(KEY_TEXT)
    pinned = f"ci.key.pub\n{KEY.public_hex}"
    inputs = read(workspace, run="true", private_key=render_private_pem(KEY).decode(), public_key=pinned)
    assert inputs.key_text == render_private_pem(KEY).decode()
    assert inputs.public_keys == (str(workspace / "ci.key.pub"), KEY.public_hex)
    assert read(workspace, run="true", private_key="ci.key").key_file == workspace / "ci.key"
    whole = read(workspace, run="true", public_key=render_public_key(KEY.public_hex).decode())
    assert whole.public_keys == (KEY.public_hex,)
    assert KEY_TEXT.splitlines()[1] not in repr(inputs)


def test_what_is_run_is_one_argument_whatever_stands_in_it(workspace: Path) -> None:
    script = "echo '$(id)' \"${{ secrets.X }}\" --policy\n'"
    inputs = read(
        workspace, run=script, script_args="--a b\n\n$(id)\n", allow="a.example --evil\n#no\nb.example,c"
    )
    assert inputs.command == (*SHELL, "-c", script, "run", "--a b", "$(id)")
    assert inputs.allow == ("a.example", "--evil", "b.example", "c")


def test_no_input_is_left_in_the_environment_of_the_run() -> None:
    environment = {"INPUT_PRIVATE_KEY": "x", "TRIO_EGRESS_PYTHON": "x", "GITHUB_TOKEN": "y", "PATH": "/bin"}
    assert strip_inputs(environment) == {"GITHUB_TOKEN": "y", "PATH": "/bin"}
