"""Where the policy is: what is named goes first, and two of the usual names are no policy."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.part import POLICY_BYTES
from trio_egress.runtime.policy_file import (
    POLICY_NAMES,
    POLICY_VARIABLE,
    find_files,
    find_policy,
    read_included,
    read_policy,
)

TOML = 'version = "1.0"\ndefault_deny = true\n'
YAML = 'version: "1.0"\ndefault_deny: true\n'


def test_the_command_line_goes_before_the_variable_and_that_before_this_directory(tmp_path: Path) -> None:
    for name in ("given.toml", "variable.toml", "trio-egress.toml", "trio-egress.yaml"):
        (tmp_path / name).touch()
    environ = {POLICY_VARIABLE: "variable.toml"}
    assert find_policy("given.toml", environ, tmp_path) == tmp_path / "given.toml"
    assert find_policy(None, environ, tmp_path) == tmp_path / "variable.toml"


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_the_one_file_of_a_usual_name_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert find_policy(None, {POLICY_VARIABLE: ""}, tmp_path) == tmp_path / name


def test_two_files_of_the_usual_names_are_refused(tmp_path: Path) -> None:
    for name in POLICY_NAMES:
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"trio-egress.toml and .*trio-egress.yaml are both here"):
        find_policy(None, {}, tmp_path)


@pytest.mark.parametrize(
    ("given", "environ", "said"),
    [
        ("x.toml", {}, r"x.toml does not exist \(--policy\)"),
        (None, {POLICY_VARIABLE: "y.toml"}, r"y.toml does not exist \(\$TRIO_EGRESS_POLICY\)"),
        (None, {}, r"trio-egress.toml or trio-egress.yaml does not exist \(this directory\)"),
    ],
)
def test_no_policy_is_told_with_where_it_was_looked_for(
    given: str | None, environ: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=f"^no policy: .*{said}. Nothing runs without one; `trio-egress init`"
    ):
        find_policy(given, environ, tmp_path)


@pytest.mark.parametrize(("name", "text"), [("a.toml", TOML), ("a.yaml", YAML)])
def test_a_policy_is_read_with_its_text(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    _, policy = read_policy(tmp_path / name)
    assert (policy.sources[0].text, policy.source_file) == (text, str(tmp_path / name))


def test_what_cannot_be_read_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the policy .*: Is a directory"):
        read_policy(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(PolicyError, match="the byte 0xff is not UTF-8"):
        read_policy(tmp_path / "a.toml")


def test_includes_are_read_from_the_policy_s_own_directory(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "agent.toml").write_text(TOML + 'include = ["sub/b.toml", "preset:openai"]\n')
    (tmp_path / "sub" / "b.toml").write_text(TOML + 'include = ["c.yaml"]\n')
    (tmp_path / "sub" / "c.yaml").write_text(YAML)
    _, policy = read_policy(tmp_path / "agent.toml")
    assert [source.name for source in policy.sources[1:]] == ["sub/b.toml", "sub/c.yaml", "preset:openai"]
    assert find_files(tmp_path / "agent.toml", policy) == (
        tmp_path / "agent.toml",
        tmp_path / "sub" / "b.toml",
        tmp_path / "sub" / "c.yaml",
    )


@pytest.mark.parametrize("link", ["sub", "sub/b.toml"])
def test_no_link_leads_to_an_include_below_the_policy_s_directory(link: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.toml").write_text(TOML)
    assert read_included(tmp_path, "sub/b.toml") == TOML.encode()
    (tmp_path / link).rename(tmp_path / "real.toml")
    (tmp_path / link).symlink_to(tmp_path / "real.toml")
    with pytest.raises(OSError, match=f"{Path(link).name} is a link: name the file where it is"):
        read_included(tmp_path, "sub/b.toml")


def test_the_policy_s_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "b.toml").write_text(TOML)
    (tmp_path / "link").symlink_to("real")
    assert read_included(tmp_path / "link", "b.toml") == TOML.encode()


def test_what_is_pinned_may_be_anywhere(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "b.toml").write_text(TOML)
    digest = sha256(TOML.encode()).hexdigest()
    for name in ("../b.toml", f"{tmp_path}/b.toml"):
        text = f'{TOML}include = [{{ file = "{name}", sha256 = "{digest}" }}]\n'
        (tmp_path / "x" / "agent.toml").write_text(text)
        _, policy = read_policy(tmp_path / "x" / "agent.toml")
        assert policy.sources[1].name == name
        assert find_files(tmp_path / "x" / "agent.toml", policy)[1] == tmp_path / "b.toml"


def test_what_is_above_a_directory_behind_a_link_is_found_where_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "real" / "x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/x")
    (tmp_path / "real" / "b.toml").write_text(TOML)
    digest = sha256(TOML.encode()).hexdigest()
    path = tmp_path / "link" / "agent.toml"
    path.write_text(f'{TOML}include = [{{ file = "../b.toml", sha256 = "{digest}" }}]\n')
    assert find_files(path, read_policy(path)[1]) == (path, tmp_path / "real" / "b.toml")


def test_what_is_no_plain_file_is_no_include_and_nothing_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.toml")
    (tmp_path / "dir.toml").mkdir()
    (tmp_path / "file").touch()
    for name, reason in (
        ("fifo.toml", "it is not a plain file"),
        ("dir.toml", "it is not a plain file"),
        ("/dev/zero", "it is not a plain file"),
        ("none.toml", "No such file"),
        ("file/b.toml", "Not a directory"),
    ):
        with pytest.raises(OSError, match=reason):
            read_included(tmp_path, name)


def test_no_more_is_read_than_a_policy_may_have() -> None:
    with pytest.raises(PolicyError, match=f"a policy has at most {POLICY_BYTES} bytes"):
        read_policy(Path("/dev/zero"))
