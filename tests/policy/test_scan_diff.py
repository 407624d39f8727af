"""To look through less opens, and to look through more closes."""

from __future__ import annotations

import pytest

from trio_egress.policy.diff import compare
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def rule(destination: str, more: str = "") -> str:
    return f'[[egress]]\ndestination = "{destination}"\n{more}\n'


def load(text: str) -> Policy:
    return load_policy(HEAD + text, "f.toml")


def told(old: str, new: str) -> list[str]:
    return [f"{change.effect} {change.text}" for change in compare(load(old), load(new))]


SCANNED = rule("a.example", "scan = true")


@pytest.mark.parametrize(
    ("before", "after", "opens"),
    [
        ("", "scan = true", False),
        ("scan = true", "scan = { secret = 'block' }", False),
        ("scan = true", "scan = { secret = 'warn' }", True),
        ("scan = { secret = 'warn' }", "scan = { secret = 'off' }", True),
        ("scan = true", "scan = { detectors = { jwt = 'off' } }", True),
        ("scan = true", "scan = { answers = false }", True),
        ("scan = { requests = false }", "scan = true", False),
        ("scan = true", "scan = { unreadable = 'warn' }", True),
    ],
)
def test_to_look_through_more_closes_and_to_look_through_less_opens(
    before: str, after: str, *, opens: bool
) -> None:
    for one, other, loosens in ((before, after, opens), (after, before, not opens)):
        (told_one,) = compare(load(rule("a.example", one)), load(rule("a.example", other)))
        assert (told_one.effect, told_one.text[:16]) == ("opens" if loosens else "closes", "a.example: scan ")


def test_how_much_is_looked_through_whole_is_a_change_alone() -> None:
    assert told(SCANNED, rule("a.example", "scan = { whole = 5 }")) == [
        'changes a.example: scan true → {"whole": 5}'
    ]


KNOWN = f"[[scan.suppress]]\nfinding = 'sha256:{'0' * 64}'\ndetector = 'jwt'\nreason = 'r'\nexpires = 2027-03-31\n"


@pytest.mark.parametrize(
    ("table", "come", "gone"),
    [
        (
            "[scan]\nsecret = 'off'\n",
            "opens [scan] secret: not set → off",
            "closes [scan] secret: off → not set",
        ),
        ("[scan]\nwhole = 5\n", "changes [scan] whole: not set → 5", "changes [scan] whole: 5 → not set"),
        (
            "[scan]\nenv = ['OUR_*']\n",
            "closes the values of OUR_* are looked for",
            "opens the values of OUR_* are looked for no more",
        ),
        (
            "[scan]\nfiles = ['a']\n",
            "closes the contents of a are looked for",
            "opens the contents of a are looked for no more",
        ),
        (
            "[scan]\nguess = false\n",
            "opens values of variables that look secret are not looked for any more",
            "closes values of variables that look secret are looked for",
        ),
        ("[[canary]]\nname = 'c'\nenv = 'C'\n", "closes c is a canary", "opens c is no canary any more"),
        (
            KNOWN,
            "opens a finding of jwt is none until 2027-03-31: r (sha256:0000000000…)",
            "closes no suppression of a finding of jwt any more, until 2027-03-31 (sha256:0000000000…)",
        ),
    ],
)
def test_what_is_said_of_scanning_is_told(table: str, come: str, gone: str) -> None:
    assert told(SCANNED, SCANNED + table) == [come]
    assert told(SCANNED + table, SCANNED) == [gone]


def test_detectors_are_told_by_their_files() -> None:
    def load_with(*files: tuple[str, bytes]) -> Policy:
        names = ", ".join(f"'{name}'" for name, _ in files)
        return load_policy(
            f"{HEAD}{SCANNED}[scan]\ndetector_files = [{names}]\n", "f.toml", dict(files).__getitem__
        )

    one, other = load_with(("a.toml", b"#")), load_with(("a.toml", b"# x"))
    (come,), (gone,) = compare(load(SCANNED), one), compare(one, load(SCANNED))
    assert (come.effect, come.text[:41]) == ("closes", "the detectors in a.toml look, too: sha256")
    assert (gone.effect, gone.text) == ("opens", "the detectors in a.toml look no more")
    (changed,) = compare(one, other)
    assert (changed.effect, changed.text[:42]) == ("changes", "the detectors in a.toml are others: sha256")
