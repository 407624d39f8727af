"""Rule files: what is read, and what is told of what can't be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.content.detector import Allowed, Detector, Severity, Way
from trio_egress.content.rules import RuleFile, join_rules, read_rules
from trio_egress.errors import PolicyError, Problem
from trio_egress.model import Action, Kind

RULE = '[[rules]]\nid = "mine"\nregex = "mine_[a-z]{9}"\n'


def read_one(text: str) -> Detector:
    file = read_rules(text, "rules.toml")
    assert file.warnings == ()
    (detector,) = file.detectors
    return detector


def problems_of(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(PolicyError) as caught:
        read_rules(text, "rules.toml")
    assert all(problem.file == "rules.toml" and not problem.warning for problem in caught.value.problems)
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def test_a_rule_needs_an_id_and_a_regex() -> None:
    assert read_one(RULE) == Detector(
        name="mine",
        description="mine",
        kind=Kind.SECRET,
        pattern="mine_[a-z]{9}",
        source="rules.toml:1",
    )


def test_all_keys_of_gitleaks_and_of_ours_are_read() -> None:
    text = """
        title = "rules"
        description = "of ours"
        minVersion = "v8.25.0"
        [[rules]]
        id = "mine"
        description = "A token"
        regex = '''(mine)_([a-z]{9})'''
        secretGroup = 2
        entropy = 3
        keywords = ["Mine"]
        path = '''\\.env$'''
        tags = ["key"]
        check = "crc62"
        home = ["api.example.com", "*.example.org:8443", "*"]
        ways = "both"
        action = "warn"
        severity = "low"
        kind = "entropy"
    """
    assert read_one(text) == Detector(
        name="mine",
        description="A token",
        kind=Kind.ENTROPY,
        pattern="(mine)_([a-z]{9})",
        group=2,
        keywords=("mine",),
        entropy=3.0,
        check="crc62",
        home=("api.example.com", "*.example.org:8443", "*"),
        path="\\.env$",
        ways=Way.BOTH,
        action=Action.WARN,
        severity=Severity.LOW,
        source="rules.toml:5",
    )


@pytest.mark.parametrize(
    ("kind", "ways", "action"),
    [
        ("secret", Way.OUT, Action.BLOCK),
        ("entropy", Way.OUT, Action.WARN),
        ("instruction", Way.IN, Action.WARN),
        ("hidden", Way.IN, Action.WARN),
    ],
)
def test_what_a_rule_does_not_say_follows_from_its_kind(kind: str, ways: Way, action: Action) -> None:
    detector = read_one(f'{RULE}kind = "{kind}"\n')
    assert (detector.ways, detector.action) == (ways, action)


def test_keys_may_be_written_in_any_case_as_gitleaks_reads_them() -> None:
    assert read_one('[[rules]]\nID = "mine"\nRegex = "(a)b"\nsecretgroup = 1\n').group == 1


def test_an_entropy_of_nothing_is_none() -> None:
    assert read_one(f"{RULE}entropy = 0\n").entropy is None


LISTS = """
    [[rules.allowlists]]
    description = "examples"
    condition = "AND"
    regexTarget = "line"
    regexes = ["example"]
    stopwords = ["Sample"]
    paths = ["^docs/"]
    [[rules.allowlists]]
    stopwords = ["test"]
"""


def test_allowlists_of_a_rule_are_read() -> None:
    assert read_one(RULE + LISTS).allowed == (
        Allowed(regexes=("example",), words=("sample",), paths=("^docs/",), target="line", every=True),
        Allowed(words=("test",)),
    )


def test_the_older_form_of_an_allowlist_is_read_too() -> None:
    text = f"{RULE}[rules.allowlist]\nregexes = ['a']\nregexTarget = ''\n[allowlist]\npaths = ['b']\n"
    assert read_one(text).allowed == (Allowed(regexes=("a",)), Allowed(paths=("b",)))


def test_an_allowlist_of_the_file_is_for_all_rules_or_for_those_that_it_names() -> None:
    text = (
        f'{RULE}[[rules]]\nid = "other"\nregex = "x"\n'
        '[[allowlists]]\nstopwords = ["a"]\n[[allowlists]]\ntargetRules = ["other"]\nstopwords = ["b"]\n'
    )
    mine, other = read_rules(text, "rules.toml").detectors
    assert mine.allowed == (Allowed(words=("a",)),)
    assert other.allowed == (Allowed(words=("a",)), Allowed(words=("b",)))


def test_a_byte_order_mark_and_an_empty_file_are_no_fault() -> None:
    assert read_rules("\ufeff" + RULE, "rules.toml").detectors[0].name == "mine"
    assert read_rules("", "rules.toml") == RuleFile(())


def test_a_rule_for_names_of_files_is_left_out_with_a_warning() -> None:
    file = read_rules(f'[[rules]]\nid = "p12"\npath = "p12$"\n{RULE}', "rules.toml")
    assert [detector.name for detector in file.detectors] == ["mine"]
    said = "a rule with a path alone finds files by name; it is left out"
    assert file.warnings == (Problem("rules.toml", 1, 1, said, "[[rules]]", warning=True),)


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("rules = ?", 1, 9, "Invalid value"),
        (
            "[extend]\nuseDefault = true\n",
            1,
            2,
            'gitleaks reads "extend", and it is not supported here: a file has',
        ),
        (f"{RULE}skipReport = true\n", 4, 1, 'gitleaks reads "skipReport", and it is not supported here'),
        (f'{RULE}[[rules.required]]\nid = "x"\n', 4, 9, 'gitleaks reads "required", and it is not supported'),
        (f'{RULE}[[rules.allowlists]]\ncommits = ["a"]\n', 5, 1, 'gitleaks reads "commits", and it is not'),
        ("titel = 'x'\n", 1, 1, 'unknown key "titel" at the top; did you mean "title"?'),
        (
            f"{RULE}secret_group = 1\n",
            4,
            1,
            'unknown key "secret_group" in a rule; did you mean "secretGroup"?',
        ),
        (
            f"{RULE}colour = 1\n",
            4,
            1,
            'unknown key "colour" in a rule; the keys there are id, description, regex',
        ),
        ("rules = 1\n", 1, 9, "rules are tables, each written as [[rules]]"),
        ("rules = [1]\n", 1, 10, "it must be a table, not 1"),
        ('[[rules]]\nregex = "a"\n', 1, 1, 'the key "id" is missing in a rule'),
        ('[[rules]]\nid = "a"\n', 1, 1, 'the key "regex" is missing in a rule'),
        ('[[rules]]\nid = "a b"\nregex = "a"\n', 2, 6, 'id: "a b" is no id'),
        ('[[rules]]\nid = 1\nregex = "a"\n', 2, 6, "id: it must be a text, not 1"),
        (RULE + RULE, 5, 6, 'an earlier rule has the id "mine", too'),
        (
            '[[rules]]\nid = "a"\nregex = "(a"\n',
            3,
            9,
            "is none that RE2 can compile: missing )",
        ),
        ('[[rules]]\nid = "a"\nregex = "a(?=b)"\n', 3, 9, "no look-ahead and no look-behind"),
        ('[[rules]]\nid = "a"\nregex = ""\n', 3, 9, "regex: an empty regex finds everything"),
        (
            '[[rules]]\nid = "a"\nregex = "a*"\n',
            3,
            9,
            "regex: this regex finds what is empty, and so everything",
        ),
        (f"{RULE}secretGroup = 1\n", 4, 15, "secretGroup is 1, and the regex has no groups"),
        (
            '[[rules]]\nid = "a"\nregex = "(a)"\nsecretGroup = 2\n',
            4,
            15,
            "secretGroup is 2, and the regex has 1 group",
        ),
        (f"{RULE}loose = 1\n", 4, 9, "loose: it must be true or false, not 1"),
        (f"{RULE}secretGroup = true\n", 4, 15, "secretGroup: it must be the number of a group, not true"),
        (
            f"{RULE}entropy = 'x'\n",
            4,
            11,
            'entropy: it must be a number of bits for each byte, from 0 to 8, not "x"',
        ),
        (f"{RULE}entropy = 9\n", 4, 11, "from 0 to 8, not 9"),
        (f"{RULE}keywords = 'x'\n", 4, 12, 'keywords: it must be a list, not "x"'),
        (f"{RULE}keywords = ['a', 1]\n", 4, 18, "it must be a text, not 1"),
        (f"{RULE}keywords = ['']\n", 4, 13, "an empty word stands everywhere"),
        (f"{RULE}path = '('\n", 4, 8, "path: the pattern"),
        (f"{RULE}check = 'crc26'\n", 4, 9, 'check: there is no check "crc26"; did you mean "crc62"?'),
        (f"{RULE}check = 'rot13'\n", 4, 9, 'check: there is no check "rot13"; the checks are aws-key-id, '),
        (f"{RULE}home = ['https://a.example']\n", 4, 9, '"https://a.example" is no host: write'),
        (f"{RULE}ways = 'up'\n", 4, 8, 'ways: "up" is none of out, in, both'),
        (f"{RULE}action = 'deny'\n", 4, 10, 'action: "deny" is none of block, strip, warn, off'),
        (
            f"{RULE}severity = 'hihg'\n",
            4,
            12,
            '"hihg" is none of low, medium, high, critical; did you mean "high"?',
        ),
        (f"{RULE}kind = 'canary'\n", 4, 8, 'kind: "canary" is none of secret, instruction, hidden, entropy'),
        (f"{RULE}allowlist = 1\n", 4, 13, "it must be a table; several are allowlists"),
        (
            f"{RULE}[[rules.allowlists]]\n",
            4,
            1,
            "nothing is allowed by it; it needs regexes, stopwords or paths",
        ),
        (
            f"{RULE}[rules.allowlist]\nregexTarget = 'all'\nregexes=['a']\n",
            5,
            15,
            '"all" is none of secret, match, line',
        ),
        (f"{RULE}[rules.allowlist]\ncondition = 'XOR'\nregexes=['a']\n", 5, 13, '"XOR" is none of OR, AND'),
        (
            f"{RULE}[rules.allowlist]\ntargetRules = []\nregexes=['a']\n",
            5,
            1,
            'unknown key "targetRules" in an allowlist',
        ),
        (
            f"{RULE}[[allowlists]]\nregexes=['a']\ntargetRules=['mien']\n",
            6,
            14,
            'no rule "mien" in this file; did you mean "mine"?',
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_place(text: str, line: int, column: int, said: str) -> None:
    (problem,) = problems_of(text)
    assert problem[:2] == (line, column)
    assert said in problem[2]


def test_every_problem_of_a_file_is_told() -> None:
    text = '[[rules]]\nid = "a"\nregex = "("\ncheck = "x"\n[[rules]]\nid = "b"\nregex = "b"\nentropy = -1\n'
    assert [(line, column) for line, column, _ in problems_of(text)] == [(3, 9), (4, 9), (8, 11)]


def test_two_files_have_no_rule_of_one_name() -> None:
    ours, theirs = (read_rules(RULE, name) for name in ("ours.toml", "theirs.toml"))
    assert join_rules([ours]) == ours.detectors
    with pytest.raises(PolicyError) as caught:
        join_rules([ours, theirs])
    said = 'the id "mine" is taken, by ours.toml:1; give this rule another one'
    assert caught.value.problems == (Problem("theirs.toml", 1, 1, said),)


@settings(deadline=None)
@given(st.text(max_size=80) | st.text("[]rules=\"'\n.ax1{}").map(lambda text: RULE + text))
def test_any_text_is_read_or_is_an_error_with_its_place(text: str) -> None:
    try:
        read_rules(text, "rules.toml")
    except PolicyError as error:
        assert all(problem.line >= 1 for problem in error.problems)  # noqa: PT017
