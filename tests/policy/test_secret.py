"""The `[[secret]]` tables: names and sources, never values."""

from __future__ import annotations

import json

import attrs
import pytest

from trio_egress.errors import PolicyError
from trio_egress.evidence.receipt_form import COMMITMENT
from trio_egress.evidence.redact import CLASSES
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.diff import compare
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.policy.secret import NAME_CHARS, RESERVED, SECRETS_MAX, UPSTREAM_PASSWORD, From, Secret

HEAD = 'version = "1.0"\ndefault_deny = true\n'
TOKEN = '[[secret]]\nname = "token"\nfrom = { env = "API_TOKEN" }\n'
SENT = 'to = ["a.example"]\n'
COMMAND = '[[secret]]\nname = "pass"\nfrom = { command = ["pass", "x"] }\n'
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
        (TOKEN + 'to = "x"\n', 6, 6, 'to must be a list such as ["api.example.com"], not "x"'),
        (TOKEN + "to = []\n", 6, 6, "to is empty, so nobody would ever get it"),
        (
            TOKEN + 'to = [1, "a b"]\n',
            6,
            7,
            'a destination must be a string such as "api.example.com", not 1',
        ),
        (TOKEN + 'to = ["https://a.example/x"]\n', 6, 7, "a destination is a host, not a URL"),
        (TOKEN + 'to = ["*"]\n', 6, 7, "a rule can't allow every host"),
        (TOKEN + 'as = "basic"\n', 6, 1, "`as` is for a secret that the agent never has: say with `to` who"),
        (TOKEN + 'env = "X"\n', 6, 1, "`env` is for a secret that the agent never has"),
        (TOKEN + 'placeholder = "0123456789abcdef"\n', 6, 1, "`placeholder` is for a secret that the agent"),
        (TOKEN + SENT + 'placeholder = "short"\n', 7, 15, "placeholder must be a text such as"),
        (TOKEN + SENT + 'placeholder = "0123456789 abcdef"\n', 7, 15, "placeholder must be a text such as"),
        (TOKEN + SENT + "as = []\n", 7, 6, "as is empty, so it would be put in nowhere"),
        (TOKEN + SENT + 'as = "header"\n', 7, 6, 'which field? as in "header:x-api-key"'),
        (
            TOKEN + SENT + 'as = ["basic", "body"]\n',
            7,
            16,
            '"body" is no place in a request; there are "basic"',
        ),
        (TOKEN + SENT + 'as = ["header:Host"]\n', 7, 7, "the field host says how a request is carried"),
        (
            FILE + SENT,
            6,
            1,
            "the agent has to know what to send instead: name the variable in which it finds",
        ),
        (TOKEN + 'value = "x"\n', 6, 1, 'unknown key "value" in a [[secret]] table'),
        (
            TOKEN.replace("env", "command"),
            5,
            20,
            'command must be a list such as ["pass", "show", "api-token"]',
        ),
        (COMMAND.replace('"x"', "1"), 5, 20, "command must be a list of words such as"),
        (COMMAND.replace('"pass", "x"', ""), 5, 20, "command is empty; write a program and its arguments"),
        (COMMAND.replace('"pass"', '"./pass"'), 5, 20, '"./pass" would be another program in each directory'),
        (
            COMMAND.replace('"x"', '"\\u0000"'),
            5,
            20,
            "command has at most 100 words of 4096 characters, and no NUL",
        ),
        (
            COMMAND.replace('"pass", "x"', '"x",' * 101),
            5,
            20,
            "command has at most 100 words of 4096 characters",
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
        load_policy(text + "    too: x\n", "f.yaml")


def test_a_place_makes_no_difference() -> None:
    (one,), (other,) = load(TOKEN).secrets, load("\n\n" + TOKEN).secrets
    assert one == other
    assert attrs.evolve(one.place, line=0) != one.place


RULE = '[[egress]]\ndestination = "*.a.example"\n[[egress]]\ndestination = "b.example:8443"\n'
WHOLE = """
to = ["x.a.example", "b.example:8443"]
as = ["query:Key", "header:X-Key"]
env = "TOKEN"
placeholder = "ghp_0000placeholder0000"
"""


def test_where_a_secret_goes_is_read_and_stands_in_the_compiled_form_without_defaults() -> None:
    policy = load(RULE + TOKEN + WHOLE + COMMAND)
    (command,) = [placed.secret for placed in policy.secrets if placed.secret.name == "pass"]
    assert command.from_.command == ("pass", "x")
    assert str(command.from_) == "the command pass"
    assert (command.to, command.variable, command.way) == ((), None, "nowhere")
    assert json.loads(render_compiled(policy))["secret"] == [
        {"name": "pass", "from": {"command": ["pass", "x"]}},
        {
            "name": "token",
            "from": {"env": "API_TOKEN"},
            "to": ["b.example:8443", "x.a.example"],
            "as": ["header:x-key", "query:Key"],
            "env": "TOKEN",
            "placeholder": "ghp_0000placeholder0000",
        },
    ]
    again = parse_compiled(render_compiled(policy))
    assert again.secrets == policy.secrets
    assert [rule.bears for rule in again.rules] == [rule.bears for rule in policy.rules]
    usual = load(RULE + TOKEN + 'to = ["x.a.example"]\nas = ["header:Authorization", "basic"]\n')
    assert json.loads(render_compiled(usual))["secret"] == [
        {"name": "token", "from": {"env": "API_TOKEN"}, "to": ["x.a.example"]}
    ]
    assert usual.secrets[0].secret.variable == "API_TOKEN"


def test_where_a_secret_goes_has_one_value_in_all_files() -> None:
    include = 'include = ["b.toml"]\n'
    ((line, column, message),) = problems_of(
        include + RULE + TOKEN + 'to = ["x.a.example"]\n', {"b.toml": TOKEN}
    )
    assert (line, column) == (5, 8)
    assert message == (
        "where the secret token goes is 'nowhere' here and 'x.a.example as basic, header:authorization; env API_TOKEN' "
        "at f.toml:10:8: it can have one value"
    )


def test_where_a_secret_goes_opens_and_closes() -> None:
    old = load(RULE + TOKEN + 'to = ["x.a.example"]\n')
    new = load(RULE + TOKEN + 'to = ["b.example:8443"]\nas = "basic"\n')
    assert [(change.effect, change.text) for change in compare(old, new)] == [
        ("opens", "the secret token is sent to b.example:8443"),
        ("closes", "the secret token is not sent to x.a.example any more"),
        ("changes", "the secret token: as not set → basic"),
    ]
    assert [change.effect for change in compare(old, load(RULE + TOKEN))] == ["opens", "closes"]
