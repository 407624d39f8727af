"""One policy of several files: whatever the order, and no setting with two values."""

from __future__ import annotations

import json
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.errors import PolicyError
from trio_egress.model import Attempt, Protocol, RuleRef, Transport
from trio_egress.policy import join as join_module
from trio_egress.policy.compiled import policy_hash, render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.files import DEFAULT_PROTECT
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.policy.values import ITEMS_MAX
from trio_egress.texts.faults import PROBLEMS_MAX

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def load(text: str, **files: str) -> Policy:
    """`b="…"` is b.toml; the policy includes all of them, in the order given."""
    names = ", ".join(f'"{name}.toml"' for name in files)
    texts = {f"{name}.toml": (HEAD + body).encode() for name, body in files.items()}
    return load_policy(f"{HEAD}include = [{names}]\n{text}", "agent.toml", texts.__getitem__)


def errors_of(text: str, **files: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(text, **files)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_rules_of_all_files_count_on_and_name_their_file() -> None:
    policy = load(
        '[[egress]]\ndestination = "a.example"\n',
        b='[[egress]]\ndestination = "b.example"\n[[egress]]\ndestination = "A.example"\n',
        c='[[egress]]\ndestination = "c.example"\nname = "see"\n',
    )
    assert [rule.ref for rule in policy.rules] == [
        RuleRef(0, "a.example", 4),
        RuleRef(1, "b.example", 3, file="b.toml"),
        RuleRef(3, "c.example", 3, "see", file="c.toml"),
    ]
    assert str(policy.rules[1].ref) == "egress[1] 'b.example' (b.toml line 3)"
    assert [source.name for source in policy.sources] == ["agent.toml", "b.toml", "c.toml"]
    assert policy.source_file == "agent.toml"


def test_a_denial_in_an_included_file_wins() -> None:
    deny = '[[egress]]\ndestination = "a.example"\ndeny = true\nreason = "no"\n'
    for policy in (
        load('[[egress]]\ndestination = "*.example"\n', b=deny),
        load(deny, b='[[egress]]\ndestination = "*.example"\n'),
    ):
        attempt = Attempt(Transport.TRANSPARENT, Protocol.TLS, parse_host("a.example"), 443)
        assert not decide(policy, attempt).allowed


def test_lists_variables_and_pins_are_unions() -> None:
    policy = load(
        '[resolve]\n"a.example" = "127.0.0.1"\n[files]\nwrite = ["x"]\nprotect = ["Makefile"]\n'
        '[env]\npass = ["PATH"]\nset = {A = "1"}\n[limits]\nprocesses = 5\n',
        b='[resolve]\n"A.example." = "127.0.0.1"\n"b.example" = "::1"\n'
        '[files]\nwrite = ["./x", "y"]\nhide = ["z"]\nprotect = ["!.vscode"]\n'
        '[env]\npass = ["LC_*", "PATH"]\nset = {A = "1", B = "2"}\n[limits]\nprocesses = 5\nmemory = "1 GiB"\n',
    )
    assert [pin.target for pin in policy.resolve.pins] == ["a.example", "b.example"]
    assert (policy.files.write, policy.files.hide) == (("x", "y"), ("z",))
    assert set(policy.files.protect) == {*DEFAULT_PROTECT, "Makefile"} - {".vscode"}
    assert (policy.env.pass_, policy.env.set) == (("PATH", "LC_*"), (("A", "1"), ("B", "2")))
    assert (policy.limits.processes, policy.limits.memory) == (5, 1 << 30)


def test_what_one_file_protects_by_name_no_other_takes_off() -> None:
    policy = load('[files]\nprotect = [".vscode"]\n', b='[files]\nprotect = ["!.vscode"]\n')
    assert ".vscode" in policy.files.protect


def test_without_an_allow_list_in_any_file_everything_passes() -> None:
    assert load("", b="").env.pass_ is None
    assert load("", b="[env]\npass = []\n").env.pass_ == ()


@pytest.mark.parametrize(
    ("text", "included", "error"),
    [
        (
            "[limits]\nprocesses = 5\n",
            "[limits]\nprocesses = 6\n",
            "b.toml:4:13: error: limits.processes is 6 here and 5 at agent.toml:5:13: it can have one value",
        ),
        (
            '[limits]\nmemory = "1 GiB"\n',
            '[limits]\nmemory = "2 GiB"\n',
            (
                "b.toml:4:10: error: limits.memory is 2147483648 here "
                "and 1073741824 at agent.toml:5:10: it can have one value"
            ),
        ),
        (
            '[env.set]\nA = "1"\n',
            '[env.set]\nA = "2"\n',
            "b.toml:4:5: error: the variable A is '2' here and '1' at agent.toml:5:5: it can have one value",
        ),
        (
            '[resolve]\n"a.example" = "127.0.0.1"\n',
            '[resolve]\n"A.example." = "127.0.0.2:1"\n',
            (
                "b.toml:4:16: error: the pin of a.example is 127.0.0.2:1 here "
                "and 127.0.0.1 at agent.toml:5:15: it can have one value"
            ),
        ),
        (
            '[files]\nwrite = ["a", "b/c"]\n',
            '[files]\nhide = ["b"]\n',
            'agent.toml:5:15: error: "b/c" can\'t be written and hidden ("b")',
        ),
        (
            '[files]\nhide = ["b"]\n',
            '[files]\nwrite = ["a", "b/c"]\n',
            'b.toml:4:15: error: "b/c" can\'t be written and hidden ("b")',
        ),
    ],
)
def test_what_files_say_that_cannot_hold_together_is_an_error(text: str, included: str, error: str) -> None:
    assert errors_of(text, b=included) == [error]


def test_the_same_value_in_another_spelling_is_no_conflict() -> None:
    assert load('[limits]\nmemory = "1 GiB"\n', b=f"[limits]\nmemory = {1 << 30}\n").limits.memory == 1 << 30


def test_bounds_hold_for_all_files_together(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ", ".join(f'"{place}"' for place in range(ITEMS_MAX))
    assert errors_of(f"[files]\nwrite = [{paths}]\n", b='[files]\nwrite = ["more"]\n') == [
        (
            f"b.toml:4:9: error: write has at most {ITEMS_MAX} entries, and this has {ITEMS_MAX + 1} "
            "(with what other files of the policy say)"
        )
    ]
    variables = ", ".join(f'V{place} = ""' for place in range(ITEMS_MAX))
    assert len(load(f"[env]\nset = {{{variables}}}\n").env.set) == ITEMS_MAX
    (error,) = errors_of(f"[env]\nset = {{{variables}}}\n", b='[env]\nset = {MORE = ""}\n')
    assert error == f"agent.toml:4:2: error: set has at most {ITEMS_MAX} variables, with all includes"
    monkeypatch.setattr(join_module, "RULES_MAX", 1)
    assert len(load('[[egress]]\ndestination = "a.example"\n', b="").rules) == 1
    (error,) = errors_of(
        '[[egress]]\ndestination = "a.example"\n', b='[[egress]]\ndestination = "b.example"\n'
    )
    assert error == "agent.toml:1:1: error: a policy has at most 1 rules, and with its includes this has 2"


def test_endless_conflicts_end() -> None:
    ones, twos = ("[env.set]\n" + "".join(f'V{n} = "{value}"\n' for n in range(60)) for value in "12")
    assert len(errors_of(ones, b=twos)) == PROBLEMS_MAX


_RULES = st.lists(
    st.fixed_dictionaries(
        {
            "destination": st.sampled_from(
                ["a.example", "*.a.example", "b.a.example", "8.8.8.0/24", "8.8.8.8:22"]
            )
        },
        optional={"methods": st.just(["GET"]), "deny": st.just(True), "allow_private": st.just(True)},
    ).filter(lambda rule: not {"deny", "allow_private"} <= set(rule)),
    max_size=6,
)
_ATTEMPTS = [
    Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port, "GET")
    for protocol, port in ((Protocol.TLS, 443), (Protocol.HTTP, 80), (Protocol.TCP, 22), (Protocol.DNS, 0))
    for host in ("a.example", "b.a.example", "8.8.8.8", "c.example")
]


def render(rules: list[dict[str, object]]) -> str:
    """JSON values are TOML values."""
    return "".join(
        "[[egress]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
        for rule in rules
    )


@settings(deadline=None)
@given(_RULES, st.randoms(use_true_random=False))
def test_the_order_of_includes_decides_nothing_and_an_include_only_adds_what_it_says(
    rules: list[dict[str, object]], chance: Random
) -> None:
    # What a file denies as a whole it may not allow as well, so what denies is in one of its own.
    groups: list[list[dict[str, object]]] = [[], [], [rule for rule in rules if "deny" in rule]]
    allowing = [rule for rule in rules if "deny" not in rule]
    for rule in allowing:
        chance.choice(groups[:2]).append(rule)
    bodies = dict(zip("bcd", map(render, groups), strict=True))
    whole = load(render(allowing), d=bodies["d"])
    for order in permutations(bodies):
        joined = load("", **{name: bodies[name] for name in order})
        assert render_compiled(joined) == render_compiled(whole)
        assert policy_hash(joined) == policy_hash(whole)
        for attempt in _ATTEMPTS:
            found, expected = decide(joined, attempt), decide(whole, attempt)
            assert (found.allowed, found.layer, found.upstream) == (
                expected.allowed,
                expected.layer,
                expected.upstream,
            )


def test_what_the_rules_do_to_each_other_is_told_at_the_rule_or_at_its_key() -> None:
    rules = [
        '[[egress]]\ndestination = "a.example"\nname = "x"\n',
        '[[egress]]\ndestination = "b.example"\nname = "x"\n',
        '[[egress]]\ndestination = "c.example"\ndeny = true\n',
        '[[egress]]\ndestination = "c.example"\n',
    ]
    assert errors_of("".join(rules)) == [
        'agent.toml:9:8: error: egress[0] has the name "x" already',
        "agent.toml:13:1: error: egress[2] denies all that this rule allows, so it can never match",
    ]


def test_warnings_are_told_as_such_up_to_what_people_read() -> None:
    again = '[[egress]]\ndestination = "a.example"\n'
    warnings = load(again * (PROBLEMS_MAX + 1)).warnings
    assert len(warnings) == PROBLEMS_MAX
    assert str(warnings[0]).startswith("agent.toml:6:1: warning: egress[0] allows all that this rule allows")
    assert len(load(again * (PROBLEMS_MAX + 3)).warnings) == PROBLEMS_MAX


def test_places_count_on_within_a_file_too() -> None:
    three = "".join(f'[[egress]]\ndestination = "{name}.example"\n' for name in "xyz")
    policy = load('[[egress]]\ndestination = "a.example"\n', b=three)
    assert [rule.ref.index for rule in policy.rules] == [0, 1, 2, 3]


def test_secrets_of_all_files_have_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (f'[[secret]]\nname = "{name}"\nfrom = {{ env = "{name}" }}\n' for name in "AB")
    monkeypatch.setattr(join_module, "SECRETS_MAX", 1)
    assert [placed.secret.name for placed in load(one, b=one).secrets] == ["A"]
    (error,) = errors_of(one, b=other)
    assert error == "agent.toml:1:1: error: a policy has at most 1 secrets, with all includes"


def test_one_secret_has_one_source_in_all_files_and_its_place_in_the_first() -> None:
    one, other = (f'[[secret]]\nname = "A"\nfrom = {{ env = "{name}" }}\n' for name in "AB")
    assert errors_of(one, b=other) == [
        (
            "b.toml:5:8: error: the secret A is the variable B here and the variable A at "
            "agent.toml:6:8: it can have one value"
        )
    ]
    (placed,) = load(one, b=one).secrets
    assert (placed.place.file, placed.place.line, placed.place.column) == ("agent.toml", 6, 8)


def test_what_three_files_say_together_is_told_at_the_last() -> None:
    some = ", ".join(f'"{place}"' for place in range(ITEMS_MAX))
    (error,) = errors_of(
        f"[files]\nwrite = [{some}]\n", b='[files]\nwrite = ["x"]\n', c='[files]\nwrite = ["y"]\n'
    )
    assert error.startswith("c.toml:4:9: error: write has at most ")
