"""What clients of git ask for over SSH, and everything that only looks like it."""

from __future__ import annotations

import re

import pytest

from trio_egress.wire.git_command import COMMAND_CHARS, GitCommand, find_protocol, parse_command

FETCH, PUSH = "git-upload-pack", "git-receive-pack"


@pytest.mark.parametrize(
    ("raw", "command", "path"),
    [
        ("git-upload-pack 'org/repo.git'", GitCommand(FETCH, "org/repo.git"), "/org/repo.git"),
        ("git-upload-pack '/org/repo.git'", GitCommand(FETCH, "/org/repo.git"), "/org/repo.git"),
        ("git-receive-pack org/repo", GitCommand(PUSH, "org/repo"), "/org/repo"),
        ("git receive-pack 'org/repo'", GitCommand(PUSH, "org/repo"), "/org/repo"),
        ("git-upload-pack '~user/repo'", GitCommand(FETCH, "~user/repo"), "/~user/repo"),
        ("git-upload-pack 'v3/o,p=q/r+s@t_u-v.w'", GitCommand(FETCH, "v3/o,p=q/r+s@t_u-v.w"), None),
    ],
)
def test_a_command_of_git_has_a_service_and_a_repository(
    raw: str, command: GitCommand, path: str | None
) -> None:
    parsed = parse_command(raw)
    assert parsed == command
    assert path is None or parsed.path == path
    assert parse_command(str(parsed)) == parsed  # what is sent on means the same


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "a command that is none of git's"),
        ("git-upload-archive 'org/repo'", "the command git-upload-archive"),
        ("git-lfs-authenticate org/repo download", "the command git-lfs-authenticate"),
        ("id", "the command id"),
        ("git-upload-pack", "git-upload-pack in a form that git does not use"),
        ("git-upload-pack --strict 'org/repo'", "in a form"),
        ("git-upload-pack  'org/repo'", "in a form"),
        ("git-upload-pack\t'org/repo'", "in a form"),
        ("git-upload-pack 'org/repo' ", "in a form"),
        ("git-upload-pack 'org/repo'\n", "in a form"),
        ("git-upload-pack 'org/repo';id", "in a form"),
        ("git-upload-pack 'org/re'\\''po'", "in a form"),
        ('git-upload-pack "org/repo"', "in a form"),
        ("git-upload-pack '$(id)'", "something else in it"),
        ("git-upload-pack `id`", "something else in it"),
        ("git-upload-pack 'a b'", "something else in it"),
        ("git-upload-pack 'a%2e'", "something else in it"),
        ("git-upload-pack 'a\\b'", "something else in it"),
        ("git-upload-pack 'ü'", "something else in it"),
        ("git-upload-pack ''", "something else in it"),
        ("git-upload-pack '/'", "an empty segment"),
        ("git-upload-pack '//org/repo'", "an empty segment"),
        ("git-upload-pack 'org//repo'", "an empty segment"),
        ("git-upload-pack 'org/repo/'", "an empty segment"),
        ("git-upload-pack 'org/../secret'", "a dot segment"),
        ("git-upload-pack './org'", "a dot segment"),
        ("git-upload-pack '...'", "a dot segment"),
        ("git-upload-pack '-uid'", "begins like an option"),
        ("git-upload-pack 'org/--x'", "begins like an option"),
        ("git-upload-pack '~/repo'", "a home directory"),
        ("git-upload-pack '/~user/repo'", "a home directory"),
        ("GIT-UPLOAD-PACK 'org/repo'", "the command GIT-UPLOAD-PACK"),
        (f"git-upload-pack '{'a' * COMMAND_CHARS}'", f"more than {COMMAND_CHARS} characters"),
    ],
)
def test_what_could_be_read_in_two_ways_is_none(raw: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_command(raw)


@pytest.mark.parametrize(
    ("value", "passed"), [("version=2", True), ("version=0", True), ("version=2:x", False), ("", False)]
)
def test_one_variable_goes_on_with_the_values_of_git(value: str, passed: bool) -> None:
    assert find_protocol({"GIT_PROTOCOL": value, "LD_PRELOAD": "x"}) == (value if passed else None)
