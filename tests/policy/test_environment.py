"""The `[env]` table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PolicyError
from trio_egress.policy.environment import VALUE_CHARS, Env, read_set
from trio_egress.policy.load import load_policy
from trio_egress.policy.values import ITEMS_MAX
from trio_egress.texts.faults import Faults

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def load_env(text: str) -> Env:
    return load_policy(f"{HEAD}[env]\n{text}", "f").env


def problems_of(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyError) as caught:
        load_env(text)
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_without_the_table_there_is_no_allow_list_and_nothing_is_set() -> None:
    assert load_policy(HEAD, "f").env == Env() == load_env("")
    assert (Env().pass_, Env().set) == (None, ())


def test_an_empty_list_passes_nothing() -> None:
    assert load_env("pass = []\n").pass_ == ()


def test_patterns_and_values_are_read() -> None:
    env = load_env('pass = ["PATH", "LC_*", "A?"]\nset = {LANG = "C.UTF-8", EMPTY = "", _x1 = "ü\\n"}\n')
    assert env == Env(pass_=("PATH", "LC_*", "A?"), set=(("EMPTY", ""), ("LANG", "C.UTF-8"), ("_x1", "ü\n")))


def test_variables_can_be_a_table_of_their_own() -> None:
    assert load_policy(f'{HEAD}[env.set]\nA = "1"\n', "f").env.set == (("A", "1"),)


def test_every_problem_is_told_at_its_place() -> None:
    name = 'is no variable\'s name: letters, digits and "_"'
    assert problems_of(
        'pass = ["A B", "LANG=C", 7]\npas = []\n[env.set]\n"1A" = "x"\nTRIO_EGRESS_RUN = "x"\n'
        'B = 1\nC = true\nD = "\\u0000"\n'
    ) == [
        (4, 9, f'"A B" {name}, with "*" and "?" as wildcards'),
        (4, 16, f'"LANG=C" {name}, with "*" and "?" as wildcards; did you mean "LANG"?'),
        (4, 26, 'pass must be a list such as ["PATH", "LC_*"], and this is 7'),
        (5, 1, 'unknown key "pas" in the [env] table; did you mean "pass"?'),
        (7, 1, f'"1A" {name}, no digit first'),
        (8, 1, '"TRIO_EGRESS_RUN" is set by trio-egress itself'),
        (9, 5, 'a variable\'s value must be a string, not 1; did you mean "1"?'),
        (10, 5, "a variable's value must be a string, not true"),
        (11, 5, f"a variable's value has at most {VALUE_CHARS} characters, and no NUL among them"),
    ]


def test_a_value_may_be_just_as_long_as_the_bound() -> None:
    assert read_set({"A": "x" * VALUE_CHARS}) == (("A", "x" * VALUE_CHARS),)
    with pytest.raises(Faults):
        read_set({"A": "x" * (VALUE_CHARS + 1)})


def test_there_may_be_just_as_many_variables_as_the_bound() -> None:
    assert len(read_set({f"A{n}": "" for n in range(ITEMS_MAX)})) == ITEMS_MAX
    with pytest.raises(ValueError, match=f"^set has at most {ITEMS_MAX} variables"):
        read_set({f"A{n}": "" for n in range(ITEMS_MAX + 1)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[env]\nset = []\n", 'set must be a table such as {LANG = "C.UTF-8"}, not a list'),
        ("[env]\npass = true\n", 'pass must be a list such as ["PATH", "LC_*"], not true'),
        ("env = 1\n", 'env must be a table, not 1; did you mean "[env]"?'),
    ],
)
def test_what_is_no_list_or_table_is_told(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(HEAD + text, "f")
    assert [problem.message for problem in caught.value.problems] == [said]


@given(st.dictionaries(st.text("AB_1 é"), st.text(), max_size=4))
def test_any_variables_are_taken_as_they_are_or_refused(variables: dict[str, str]) -> None:
    try:
        read = read_set(variables)
    except Faults:
        assert any(
            not (name.isascii() and name.isidentifier()) or name.startswith("TRIO_EGRESS_")
            for name in variables
        ) or any("\0" in value for value in variables.values())
    else:
        assert dict(read) == variables
