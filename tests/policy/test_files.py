"""The `[files]` table."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PolicyError
from trio_egress.policy.files import DEFAULT_PROTECT, PATH_CHARS, Files, parse_path, read_protect
from trio_egress.policy.load import load_policy
from trio_egress.texts.faults import Faults

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def load_files(text: str) -> Files:
    return load_policy(f"{HEAD}[files]\n{text}", "f").files


def problems_of(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyError) as caught:
        load_files(text)
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_without_the_table_what_acts_outside_is_protected_all_the_same() -> None:
    assert load_policy(HEAD, "f").files == Files() == load_files("")
    assert (Files().write, Files().hide) == ((), ())
    for path in (
        "**/.git/hooks",
        "**/.git/config",
        ".github/workflows",
        ".gitlab-ci.yml",
        ".bashrc",
        ".npmrc",
    ):
        assert path in Files().protect


def test_what_agents_are_there_to_edit_is_not_protected() -> None:
    assert not {"Makefile", "package.json", "conftest.py", "pyproject.toml"} & set(Files().protect)


def test_every_default_is_in_normal_form_and_stands_once() -> None:
    assert read_protect(list(DEFAULT_PROTECT)) == tuple(sorted(DEFAULT_PROTECT))
    assert len(set(DEFAULT_PROTECT)) == len(DEFAULT_PROTECT)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("build", "build"),
        ("./build//out/", "build/out"),
        (".", "."),
        ("./", "."),
        ("/srv/data/", "/srv/data"),
        ("//srv/./data", "/srv/data"),
        ("~", "~"),
        ("~/.cache/pip", "~/.cache/pip"),
        ("a[1]~b", "a[1]~b"),
        ("ü b", "ü b"),
        ("...", "..."),
    ],
)
def test_a_path_has_one_form(raw: str, path: str) -> None:
    assert parse_path(raw) == path


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "the path is empty"),
        ("/", '"/" is the whole machine; name the directories'),
        ("/./", '"/" is the whole machine; name the directories'),
        ("a/../b", '"a/../b": ".." is not allowed; write where it leads'),
        ("..", '"..": ".." is not allowed; write where it leads'),
        ("~other/x", '"~other/x": "~" is the agent\'s HOME alone; did you mean "~/other/x"?'),
        ("build/*", '"build/*" has a wildcard, and only protect takes those: name the directory'),
        ("buil?", '"buil?" has a wildcard, and only protect takes those: name the directory'),
        ("a\nb", "the path has a character that can't be printed"),
        ("a\0b", "the path has a character that can't be printed"),
        ("a" * (PATH_CHARS + 1), f"the path is longer than {PATH_CHARS} characters"),
    ],
)
def test_a_wrong_path_is_told(raw: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_path(raw)
    assert str(caught.value) == said


def test_the_longest_path_is_one() -> None:
    assert len(parse_path("a" * PATH_CHARS)) == PATH_CHARS


@given(st.text() | st.lists(st.sampled_from(["a", "..", ".", "", "~", "b"])).map("/".join))
def test_a_normal_form_is_its_own_and_leads_nowhere_else(raw: str) -> None:
    with contextlib.suppress(ValueError):
        path = parse_path(raw)
        assert parse_path(path) == path
        assert ".." not in path.split("/")


def test_what_is_protected_is_added_to_the_defaults() -> None:
    protect = load_files('protect = ["Makefile", "**/*.mk", "./ci//run.sh"]\n').protect
    assert set(protect) == {*DEFAULT_PROTECT, "Makefile", "**/*.mk", "ci/run.sh"}
    assert list(protect) == sorted(protect)


def test_a_default_is_taken_off_by_its_name_alone() -> None:
    protect = load_files('protect = ["!.github/workflows", "!./.vscode/"]\n').protect
    assert set(DEFAULT_PROTECT) - set(protect) == {".github/workflows", ".vscode"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            "!.github/workflow",
            (
                '".github/workflow" is not protected by default, so it can\'t be taken off; '
                'did you mean ".github/workflows"?'
            ),
        ),
        ("!qqqq", '"qqqq" is not protected by default, so it can\'t be taken off'),
        ("", "the path is empty"),
        ("!", "the path is empty"),
        (".", '"." is a whole directory, which the agent must be able to write; name what is in it'),
        ("~/", '"~/" is a whole directory, which the agent must be able to write; name what is in it'),
        ("/", '"/" is a whole directory, which the agent must be able to write; name what is in it'),
        ("a/**b", '"a/**b": "**" stands alone between slashes, as in "**/.envrc"'),
        ("a/**", '"a/**": after "**/" comes a name; a directory is protected with all in it'),
        ("**", '"**": after "**/" comes a name; a directory is protected with all in it'),
    ],
)
def test_a_wrong_entry_of_protect_is_told(raw: str, said: str) -> None:
    with pytest.raises(Faults) as caught:
        read_protect([raw])
    assert [(fault.path, fault.message) for fault in caught.value.faults] == [((0,), said)]


def test_every_problem_is_told_at_its_place() -> None:
    assert problems_of('write = ["a", ".."]\nhide = ["."]\nprotcet = []\n') == [
        (4, 15, '"..": ".." is not allowed; write where it leads'),
        (5, 9, "the working directory can't be hidden: the agent starts in it"),
        (6, 1, 'unknown key "protcet" in the [files] table; did you mean "protect"?'),
    ]


def test_paths_are_kept_in_the_order_of_the_file() -> None:
    files = load_files('write = ["~/.cache", "/srv/b", "/srv/a"]\nhide = ["secrets"]\n')
    assert (files.write, files.hide) == (("~/.cache", "/srv/b", "/srv/a"), ("secrets",))


@pytest.mark.parametrize("hidden", ["/srv", "/srv/data"])
def test_what_is_hidden_cannot_be_written(hidden: str) -> None:
    text = f'write = ["/other", "/srv/data"]\nhide = ["/tmp/x", "{hidden}", "{hidden}"]\n'
    assert problems_of(text) == [(4, 20, f'"/srv/data" can\'t be written and hidden ("{hidden}")')]


@pytest.mark.parametrize("hidden", ["/srv/data/secrets", "/srv/dat", "/srv/database"])
def test_something_in_or_beside_a_writable_directory_can_be_hidden(hidden: str) -> None:
    assert load_files(f'write = ["/srv/data"]\nhide = ["{hidden}"]\n').hide == (hidden,)


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(PolicyError, match=r'files must be a table, not a list; did you mean "\[files\]"\?'):
        load_policy(f"{HEAD}files = []\n", "f")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("write = 1", 'write must be a list such as ["build", "~/.cache/pip"], not 1'),
        ("hide = 1", 'hide must be a list such as ["secrets", "/srv/data"], not 1'),
        ("protect = 1", 'protect must be a list such as ["Makefile", "!.github/workflows"], not 1'),
    ],
)
def test_what_is_no_list_is_told_with_an_example(text: str, said: str) -> None:
    ((_, _, message),) = problems_of(f"{text}\n")
    assert message == said


def test_a_path_that_is_hidden_twice_over_is_told_once() -> None:
    told = problems_of('write = ["a/b"]\nhide = ["a", "a/b"]\n')
    assert [message for _, _, message in told] == ['"a/b" can\'t be written and hidden ("a")']
