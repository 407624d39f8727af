"""Which values a run looks for: what is named, what looks secret, and nothing that is none."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest

from trio_egress.errors import PolicyError, UsageError
from trio_egress.evidence.redact import Redactor
from trio_egress.model import Kind
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.runtime.sought import NAME_CHARS, Value, find_values, plant

HEAD = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "a.example"\nscan = true\n'
TOKEN = "".join(("tok", "En", "-9f3a7c51d2"))
QUIET = "[scan]\nguess = false\n"


def make_policy(text: str = "") -> Policy:
    return load_policy(HEAD + text, "f.toml")


def find(
    text: str, directory: Path, environ: dict[str, str], redactor: Redactor | None = None
) -> list[Value]:
    return list(find_values(make_policy(text), environ, directory, redactor or Redactor(b"k" * 32)))


def told(text: str, directory: Path, **environ: str) -> dict[str, str]:
    return {value.name: value.value.decode() for value in find(text, directory, environ)}


def problem(text: str, directory: Path, **environ: str) -> str:
    with pytest.raises(PolicyError) as caught:
        find(text, directory, environ)
    (found,) = caught.value.problems
    return f"{found.line}:{found.column}: {found.message}"


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "TOKEN_OF_CI",
        "AWS_SECRET_ACCESS_KEY",
        "openai_api_key",
        "DB_PASSWORD",
        "APIKEY",
        "GH_PAT",
        "API_KEY",
    ],
)
def test_a_variable_whose_name_and_value_look_secret_is_looked_for(name: str, tmp_path: Path) -> None:
    assert told("", tmp_path, **{name: TOKEN}) == {name: TOKEN}
    assert told(QUIET, tmp_path, **{name: TOKEN}) == {}


def test_random_values_are_seldom_taken_for_words(tmp_path: Path) -> None:
    chance = random.Random(1)
    letters = string.ascii_letters + string.digits
    for size in (16, 24, 40):
        values = {f"A{number}_TOKEN": "".join(chance.choices(letters, k=size)) for number in range(100)}
        assert len(told("", tmp_path, **values)) >= 99
    hexadecimal = {f"A{number}_TOKEN": chance.randbytes(16).hex() for number in range(100)}
    assert len(told("", tmp_path, **hexadecimal)) >= 99


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOME", TOKEN),
        ("TOKENIZERS_PARALLELISM", TOKEN),
        ("MONKEY", TOKEN),
        ("SSH_PUBLIC_KEY", TOKEN),
        ("NEXT_PUBLIC_API_KEY", TOKEN),
        ("API_TOKEN", "development"),
        ("API_TOKEN", "developmentonly"),
        ("DB_PASSWORD", "development1"),
        ("DB_PASSWORD", "correct-horse-battery-staple2"),
        ("API_TOKEN", "release-2026-11-22-build-417"),
        ("API_TOKEN", "Your-Api-Key-9f3A7c51"),
        ("API_TOKEN", "${OTHER_9f3A7c51d2e8}"),
        ("API_TOKEN", "<token-9f3A7c51d2e8>"),
        ("DB_PASSWORD", "changeme9f3A7c51"),
        ("AWS_SECRET_NAME", TOKEN),
        ("TOKEN_FILE", TOKEN),
        ("GPG_KEY", TOKEN),
        ("API_TOKEN_ID", TOKEN),
        ("API_TOKEN", "short-1A"),
        ("API_TOKEN", "100000000000000"),
        ("API_TOKEN", "/run/secrets/token-9f3A"),
        ("API_TOKEN", "./secrets/token-9f3A7c"),
        ("API_TOKEN", "https://tokens.example/9f3A7c"),
        ("API_TOKEN", "two words 9f3A7c51"),
        ("API_TOKEN", "aaaaaaaaaaaaaaaaA1"),
        ("API_TOKEN", ""),
    ],
)
def test_what_is_no_secret_is_not_guessed(name: str, value: str, tmp_path: Path) -> None:
    assert told("", tmp_path, **{name: value}) == {}


def test_a_password_in_a_url_is_looked_for_as_it_is_meant(tmp_path: Path) -> None:
    assert told("", tmp_path, DATABASE_URL="postgres://me:pass%20word-1@db.example/x") == {
        "DATABASE_URL": "pass word-1"
    }
    assert told("", tmp_path, DATABASE_URL="postgres://me:short@db.example/x") == {}


def test_what_is_named_is_looked_for_whatever_it_looks_like(tmp_path: Path) -> None:
    text = '[scan]\nenv = ["OUR_*", "A"]\nguess = false\n'
    assert told(text, tmp_path, OUR_WORD="ordinary", OUR_N="1", A="12345678", B=TOKEN) == {
        "A": "12345678",
        "OUR_WORD": "ordinary",
    }


def test_a_file_has_one_value_or_a_key_or_settings(tmp_path: Path) -> None:
    (tmp_path / ".token").write_text(f"{TOKEN}\n")
    (tmp_path / "key.pem").write_text("-----BEGIN X KEY-----\nabc\n-----END X KEY-----\n")
    (tmp_path / ".env").write_text(
        f'# settings\nexport A_KEY="{TOKEN}1"\nB={TOKEN}2\nSHORT=1\n"json-key": "{TOKEN}3",\nWORDS=some words here\n'
    )
    text = '[scan]\nfiles = [".token", "key.pem", "~/.env"]\n'
    found = told(text, tmp_path, HOME=str(tmp_path))
    assert found == {
        "token": TOKEN,
        "key.pem": "-----BEGIN X KEY-----\nabc\n-----END X KEY-----",
        "A_KEY": f"{TOKEN}1",
        "B": f"{TOKEN}2",
        "json-key": f"{TOKEN}3",
    }


def test_a_file_that_has_nothing_to_look_for_is_told_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("nothing of the kind\nat all\n")
    (tmp_path / "short").write_text("1\n")
    assert problem('[scan]\nfiles = ["words"]\n', tmp_path).startswith(
        "7:10: words has no value that could be looked for"
    )
    assert problem('[scan]\nfiles = ["short"]\n', tmp_path).startswith(
        "7:10: the file short has fewer than 8 bytes"
    )
    assert problem('[scan]\nfiles = ["none"]\n', tmp_path).startswith(
        "7:10: can't read the file none: No such file"
    )


CANARY = '[[canary]]\nname = "aws"\nenv = "AWS_SECRET_ACCESS_KEY"\n'


def test_a_canary_is_made_for_each_run_and_planted(tmp_path: Path) -> None:
    policy = make_policy(CANARY)
    runs = [tuple(find(CANARY, tmp_path, {"AWS_SECRET_ACCESS_KEY": TOKEN})) for _ in range(2)]
    values = [run[0].value for run in runs]
    assert values[0] != values[1]
    assert [(value.name, value.kind, len(value.value)) for value in runs[0][:1]] == [("aws", Kind.CANARY, 40)]
    planted = plant({"A": "b", "AWS_SECRET_ACCESS_KEY": TOKEN}, policy, runs[0])
    assert planted == {"A": "b", "AWS_SECRET_ACCESS_KEY": values[0].decode()}
    assert runs[0][1:] == (
        Value("AWS_SECRET_ACCESS_KEY", TOKEN.encode()),
    )  # the caller's own is looked for, too


def test_a_canary_of_the_operator_is_planted_only_where_it_says(tmp_path: Path) -> None:
    (tmp_path / "old.env").write_text(f"{TOKEN}\n")
    text = '[[canary]]\nname = "old"\nfrom = { file = "old.env" }\n'
    values = tuple(find(text, tmp_path, {}))
    assert values == (Value("old", TOKEN.encode(), Kind.CANARY),)
    assert plant({}, make_policy(text), values) == {}
    assert problem(text.replace("old.env", "none"), tmp_path).startswith(
        "6:1: the canary old: can't read the file none"
    )


def test_each_value_is_looked_for_once_and_each_name_is_of_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "token").write_text(f"{TOKEN}1")
    (tmp_path / "b" / "token").write_text(f"{TOKEN}2")
    text = '[scan]\nfiles = ["a/token", "b/token"]\nenv = ["A", "B"]\n'
    redactor = Redactor(b"k" * 32, {"mine": f"{TOKEN}3".encode()})
    values = find(text, tmp_path, {"A": f"{TOKEN}1", "B": f"{TOKEN}3", "mine_TOKEN": f"{TOKEN}4"}, redactor)
    assert [value.name for value in values] == ["token", "token-2", "mine_TOKEN"]
    (long,) = find("", tmp_path, {f"{'A' * 100}_TOKEN": TOKEN})
    assert len(long.name) == NAME_CHARS


def test_there_are_as_many_values_as_can_be_looked_for_and_no_more(tmp_path: Path) -> None:
    environ = {f"N{n}_TOKEN": f"{TOKEN}-{n}" for n in range(257)}
    with pytest.raises(UsageError, match="257 values are to be looked for, and 256 are the most"):
        find("", tmp_path, environ)
    environ.popitem()
    assert len(find("", tmp_path, environ)) == 256


def test_nothing_is_read_where_nothing_is_looked_through(tmp_path: Path) -> None:
    text = HEAD.replace("scan = true\n", "") + '[scan]\nfiles = ["none"]\n' + CANARY
    policy = load_policy(text, "f.toml")
    assert find_values(policy, {"API_TOKEN": TOKEN}, tmp_path, Redactor(b"k" * 32)) == ()
    assert plant({"A": "b"}, policy, ()) == {"A": "b"}


def test_a_value_is_not_shown() -> None:
    assert TOKEN not in repr(Value("a", TOKEN.encode()))
