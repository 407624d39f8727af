"""The `[[secret]]` tables: names and sources, never values."""

from __future__ import annotations

import json

import attrs
import pytest

from trio_egress.errors import PolicyError
from trio_egress.evidence.redact import CLASSES, COMMITMENT
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.diff import compare
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.policy.secret import NAME_CHARS, RESERVED, SECRETS_MAX, UPSTREAM_PASSWORD, From, Secret

HEAD = 'version = "1.0"\ndefault_deny = true\n'
TOKEN = '[[secret]]\nname = "token"\nfrom = { env = "API_TOKEN" }\n'
FILE = '[[secret]]\nname = "key.pem"\nfrom = { file = "~/key.pem" }\n'


def load(text: str, files: dict[str, str] | None = None) -> Policy:
    return load_policy(HEAD + text, "f.toml", lambda name: (HEAD + (files or {})[name]).encode())


def problems_of(text: str, files: dict[str, str] | None = None) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyError) as caught:
        load(text, files)
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_without_a_table_nothing_is_secret_and_the_compiled_form_has_no_word_of_it() -> None:
    assert load("").secrets == ()
    assert b"secret" not in render_compiled(load(""))


def test_names_and_sources_are_read_and_come_in_the_order_of_their_names() -> None:
    policy = load(TOKEN + FILE)
    assert [placed.secret for placed in policy.secrets] == [
        Secret(name="key.pem", from_=From(file="~/key.pem")),
        Secret(name="token", from_=From(env="API_TOKEN")),
    ]
    assert [(placed.place.line, placed.place.column) for placed in policy.secrets] == [(8, 8), (5, 8)]


def test_the_compiled_form_has_names_and_sources_in_any_order_and_reads_back() -> None:
    policy = load(TOKEN + FILE)
    assert json.loads(render_compiled(policy))["secret"] == [
        {"name": "key.pem", "from": {"file": "~/key.pem"}},
        {"name": "token", "from": {"env": "API_TOKEN"}},
    ]
    assert policy_hash(policy) == policy_hash(load(FILE + TOKEN)) != policy_hash(load(TOKEN))
    assert parse_compiled(render_compiled(policy)).secrets == policy.secrets


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("[[secret]]\n", 3, 1, 'the key "name" is missing in a [[secret]] table; write name = "api-token"'),
        (TOKEN.replace('"token"', "1"), 4, 8, 'name must be a text such as "api-token", not 1'),
        (TOKEN.replace('"token"', '"a b"'), 4, 8, '"a b" can\'t name a secret'),
        (TOKEN.replace('"token"', '"query"'), 4, 8, '"query" stands for something else in receipts'),
        (TOKEN + 'to = "x"\n', 6, 1, 'unknown key "to" in a [[secret]] table; the keys there are name, from'),
        (TOKEN + 'as = "x"\n', 6, 1, 'unknown key "as" in a [[secret]] table'),
        (TOKEN + 'placeholder = "x"\n', 6, 1, 'unknown key "placeholder" in a [[secret]] table'),
        (TOKEN + 'value = "x"\n', 6, 1, 'unknown key "value" in a [[secret]] table'),
        (
            TOKEN.replace("env", "command"),
            5,
            10,
            'unknown key "command" in a `from` table; the keys there are env, file',
        ),
        (TOKEN.replace('{ env = "API_TOKEN" }', "{}"), 5, 8, "from is empty, which says nothing"),
        (TOKEN.replace('{ env = "API_TOKEN" }', '"API_TOKEN"'), 5, 8, "from must be a table such as"),
        (TOKEN.replace(" }", ', file = "x" }'), 5, 8, "a secret has one source: `env` or `file`, not both"),
        (TOKEN.replace("API_", "API-"), 5, 16, 'env must be the name of a variable such as "API_TOKEN"'),
        (FILE.replace("~/key.pem", ""), 5, 17, "file must be the path of a file such as"),
        (TOKEN + TOKEN, 7, 8, 'secret[0] has the name "token" already'),
        (
            '[secret]\nname = "a"\n',
            3,
            2,
            'secret must be a list of tables, not a table; did you mean "[[secret]]"?',
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_place(text: str, line: int, column: int, message: str) -> None:
    found = problems_of(text)
    assert any((at, where) == (line, column) and said.startswith(message) for at, where, said in found), found


def test_there_is_a_bound() -> None:
    many = "".join(TOKEN.replace('"token"', f'"t{number}"') for number in range(SECRETS_MAX + 1))
    assert load(many.removesuffix(TOKEN.replace('"token"', f'"t{SECRETS_MAX}"'))).secrets
    assert "at most 100 secrets" in problems_of(many)[0][2]


def test_includes_add_their_secrets_and_one_name_means_one_thing() -> None:
    include = 'include = ["b.toml"]\n'
    assert [placed.secret.name for placed in load(include + TOKEN, {"b.toml": FILE + TOKEN}).secrets] == [
        "key.pem",
        "token",
    ]
    other = TOKEN.replace("API_TOKEN", "OTHER")
    ((line, column, message),) = problems_of(include + TOKEN, {"b.toml": other})
    assert (line, column) == (5, 8)
    assert message == (
        "the secret token is the variable OTHER here and the variable API_TOKEN at f.toml:6:8: it can have one value"
    )


def test_a_difference_is_told_in_words() -> None:
    changes = [change.text for change in compare(load(TOKEN + FILE), load(TOKEN.replace("API_", "")))]
    assert changes == [
        "key.pem is not secret any more: receipts tell it where it stands",
        'the secret token: from {"env": "API_TOKEN"} → {"env": "TOKEN"}',
    ]
    assert [change.text for change in compare(load(""), load(TOKEN))] == [
        "token is secret: receipts have a commitment for it"
    ]


def test_every_name_may_stand_in_a_commitment_and_what_always_does_is_reserved() -> None:
    name = "a" * NAME_CHARS
    assert load(TOKEN.replace('"token"', f'"{name}"')).secrets
    assert COMMITMENT.fullmatch(f"[{name}:{'0' * 32}]")
    assert (*CLASSES, UPSTREAM_PASSWORD) == RESERVED


def test_in_yaml_too() -> None:
    text = 'version: "1.0"\ndefault_deny: true\nsecret:\n  - name: token\n    from: {env: API_TOKEN}\n'
    text = text.replace("{env: API_TOKEN}", "\n      env: API_TOKEN")
    assert load_policy(text, "f.yaml").secrets == load(TOKEN).secrets
    with pytest.raises(PolicyError, match='a secret of "secret"'):
        load_policy(text + "    to: x\n", "f.yaml")


def test_a_place_makes_no_difference() -> None:
    (one,), (other,) = load(TOKEN).secrets, load("\n\n" + TOKEN).secrets
    assert one == other
    assert attrs.evolve(one.place, line=0) != one.place
