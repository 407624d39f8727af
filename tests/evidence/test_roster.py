"""Rosters: strict to read, and what a key signed is believed while it was valid and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, START_NS, STRANGER, Scribe, write_chain, write_evidence
from tests.evidence.test_packet import make_packet

from trio_egress.errors import EvidenceError
from trio_egress.evidence.receipt import render_timestamp
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.roster import NOT_DATED, REASONS, ROSTER_BYTES, TrustedKey, is_roster, parse_roster
from trio_egress.evidence.roster_text import NEW, add_key, revoke_key
from trio_egress.evidence.sign import generate, render_public_key
from trio_egress.evidence.trust import read_trust
from trio_egress.evidence.verify import verify

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


def entry(public: str = KEY.public_hex, **members: str) -> str:
    rows = {"name": '"ci"', "public": f'"{public}"', **members}
    return "[[key]]\n" + "".join(f"{name} = {value}\n" for name, value in rows.items())


def roster(*entries: str) -> bytes:
    return "\n".join(["version = 1", "", *(entries or [entry()])]).encode()


def at(offset: int) -> str:
    """A time, so long after the specimens begin."""
    return render_timestamp(START_NS + offset)


def test_a_roster_says_what_its_keys_are_called_and_when_they_are_valid() -> None:
    raw = roster(
        entry(valid_from=at(0), valid_until=at(HOUR), note='"Ann\'s"'),
        entry(STRANGER.public_hex, name='"old"', revoked_at=at(0), reason='"retired"'),
    )
    first, second = parse_roster(raw, "r")
    assert first == TrustedKey("ci", KEY.public_hex, 3, START_NS, START_NS + HOUR, note="Ann's")
    assert second == TrustedKey("old", STRANGER.public_hex, 10, revoked_at=START_NS, reason="retired")


@pytest.mark.parametrize("zone", ["2027-01-15T10:00:00.5+02:00", "2027-01-15 08:00:00.5Z"])
def test_a_time_may_have_any_zone(zone: str) -> None:
    (key,) = parse_roster(roster(entry(valid_from=zone)), "r")
    assert key.valid_from == START_NS + SECOND // 2


def test_a_public_key_may_have_any_form() -> None:
    two_lines = render_public_key(KEY.public_hex).decode()
    (key,) = parse_roster(f'version = 1\n[[key]]\nname = "a"\npublic = """{two_lines}"""\n'.encode(), "r")
    assert key.public == KEY.public_hex


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "r:1: version must be 1"),
        (b"version = 1\n", "r:1: there is no [[key]]"),
        (b"version = 1\nkey = []\n", "r:1: there is no [[key]]"),
        (b"version = 2\n" + entry().encode(), "r:1: version must be 1"),
        (b"version = true\n" + entry().encode(), "r:1: version must be 1"),
        (b"version = 1\nversion = 1\n", "r:2: "),
        (b"version = 1\n\nkeys = 1\n" + entry().encode(), "r:3: unknown: 'keys'"),
        (b'version = 1\nkey = [{name = "a"}]\n', "r:1: each key must be a table"),
        (b'version = 1\n[key]\nname = "a"\n', "r:1: each key must be a table"),
        (b"\n\xff", "r:2: it is not UTF-8"),
        (b"x" * (ROSTER_BYTES + 1), "r is longer than"),
        (b"version = 1\nkey = " + b"[" * 5000, "r:"),
        (b"version = " + b"9" * 5000, "r:1: "),
        (roster(entry(more="1")), "r:6: unknown: 'more'; a key has name"),
        (roster(entry(name="1")), "r:4: name must be a text"),
        (roster(entry(name='"a b"')), "r:4: a name has"),
        (roster(entry(name='""')), "r:4: a name has"),
        (roster('[[key]]\nname = "a"'), "r:3: a key without public"),
        (roster(f'[[key]]\npublic = "{KEY.public_hex}"'), "r:3: a key without name"),
        (roster('[[key]]\nname = "a"', entry()), "r:3: a key without public"),
        (roster(entry("zz")), "r:5: not a public key"),
        (roster(entry("01" + "00" * 31)), "r:5: the public key is not a point"),
        (roster(entry(valid_from='"2026-01-01"')), "r:6: valid_from must be a time with its zone"),
        (roster(entry(valid_from="2026-01-01")), "r:6: valid_from must be a time with its zone"),
        (roster(entry(valid_from="2026-01-01T00:00:00")), "r:6: valid_from must be a time with its zone"),
        (roster(entry(valid_until="1")), "r:6: valid_until must be a time with its zone"),
        (
            roster(entry(valid_from="0001-01-01T00:00:00+01:00")),
            "r:6: valid_from must be a time with its zone",
        ),
        (
            roster(entry(valid_until="9999-12-31T23:59:59-01:00")),
            "r:6: valid_until must be a time with its zone",
        ),
        (roster(entry(valid_from=at(1), valid_until=at(1))), "r:7: valid_until must be later"),
        (roster(entry(revoked_at=at(0))), "r:6: revoked_at and reason belong together"),
        (roster(entry(reason='"retired"')), "r:3: revoked_at and reason belong together"),
        (roster(entry(revoked_at=at(0), reason='"lost"')), "r:7: reason must be one of"),
        (roster(entry(note='"' + "n" * 501 + '"')), "r:6: a note has up to"),
        (roster(entry(), entry(STRANGER.public_hex)), "r:7: the same name stands on line 3"),
        (roster(entry(), entry(name='"b"')), "r:7: the same key stands on line 3"),
    ],
)
def test_a_mistake_is_told_with_its_line(raw: bytes, told: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_roster(raw, "r")
    assert told in str(caught.value)


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_roster(roster(entry(more="1", note="2"), entry(STRANGER.public_hex, other="1")), "r")
    assert [line.partition(": ")[0] for line in str(caught.value).split("\n")] == ["r:6", "r:7", "r:12"]


def test_a_roster_is_told_from_a_key() -> None:
    assert is_roster(roster())
    assert is_roster(b"[[ key ]]  # a comment\n\xff")
    assert not is_roster(KEY.public_hex.encode())
    assert not is_roster(render_public_key(KEY.public_hex))


# what it does to a verdict. The specimen's receipts begin at START_NS and end some 9 ms later.

LAST = START_NS + 7 * 1_234_567


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, None),
        ({"valid_from": at(0)}, None),
        ({"valid_from": at(1000)}, "key.not_yet_valid"),
        ({"valid_from": at(SECOND)}, "key.not_yet_valid"),
        ({"valid_until": at(SECOND)}, None),
        ({"valid_until": render_timestamp((LAST // 1000 + 1) * 1000)}, None),
        ({"valid_until": render_timestamp(LAST // 1000 * 1000)}, "key.expired"),
        ({"valid_until": at(0)}, "key.expired"),
        *[
            ({"revoked_at": at(SECOND), "reason": f'"{reason}"'}, None)
            for reason in REASONS
            if reason != "compromised"
        ],
        ({"revoked_at": at(1000), "reason": '"retired"'}, "key.revoked"),
        ({"revoked_at": at(-HOUR), "reason": '"superseded"'}, "key.revoked"),
        ({"revoked_at": at(HOUR), "reason": '"compromised"'}, "key.revoked"),
    ],
)
def test_receipts_are_believed_while_their_key_was_valid(
    members: dict[str, str], found: str | None, tmp_path: Path
) -> None:
    """valid_from <= time < valid_until, time < revoked_at; of a compromised key nothing, whatever it says."""
    make_packet(tmp_path)
    (tmp_path.parent / "roster.toml").write_bytes(roster(entry(**members)))
    report = verify(tmp_path, keys=[str(tmp_path.parent / "roster.toml")])
    assert [finding.code for finding in report.findings] == ([] if found is None else [found])
    assert report.verdict is (Verdict.VALID if found is None else Verdict.INVALID)


def test_a_key_that_no_roster_has_is_not_trusted(tmp_path: Path) -> None:
    make_packet(tmp_path)
    file = tmp_path.parent / "roster.toml"
    file.write_bytes(roster(entry(STRANGER.public_hex)))
    assert "key.not_trusted" in [f.code for f in verify(tmp_path, keys=[str(file)]).findings]


def test_a_roster_has_its_word_on_a_key_that_is_pinned_by_itself_too(tmp_path: Path) -> None:
    make_packet(tmp_path)
    file = tmp_path.parent / "roster.toml"
    file.write_bytes(roster(entry(revoked_at=at(0), reason='"compromised"')))
    for keys in ([KEY.public_hex, str(file)], [str(file), KEY.public_hex]):
        report = verify(tmp_path, keys=keys)
        assert report.verdict is Verdict.INVALID
        assert NOT_DATED in report.not_proven
    assert verify(tmp_path, keys=[KEY.public_hex]).verdict is Verdict.VALID  # the control: nobody told


def test_a_wrong_roster_is_no_roster(tmp_path: Path) -> None:
    make_packet(tmp_path)
    file = tmp_path.parent / "roster.toml"
    for raw in (b"", b"version = 1\n", roster(entry(more="1"))):
        file.write_bytes(raw)
        report = verify(tmp_path, keys=[str(file)])
        assert report.verdict is Verdict.UNREADABLE
        assert f"{file}:" in report.error


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({}, {}, []),
        ({"valid_until": at(HOUR)}, {"valid_from": at(0)}, []),
        ({"valid_until": at(2000)}, {}, ["key.expired"]),
        ({}, {"valid_from": at(HOUR)}, ["key.not_yet_valid"]),
        ({}, {"revoked_at": at(HOUR), "reason": '"compromised"'}, ["key.revoked"]),
    ],
)
def test_each_key_of_a_log_is_held_against_the_roster(
    old: dict[str, str], new: dict[str, str], found: list[str], tmp_path: Path
) -> None:
    lines = Scribe().open().allow().rotate(STRANGER).block().close().lines
    (tmp_path / "roster.toml").write_bytes(
        roster(entry(**old), entry(STRANGER.public_hex, name='"next"', **new))
    )
    file = write_evidence(tmp_path, lines)
    report = verify(file, keys=[str(tmp_path / "roster.toml")])
    assert [finding.code for finding in report.findings] == found


def test_a_prefix_and_an_empty_log_are_judged_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "roster.toml").write_bytes(roster(entry(valid_until=at(2000))))
    for lines, found in (([], []), (write_chain()[:1], []), (write_chain()[:2], ["key.expired"])):
        report = verify(write_evidence(tmp_path, lines), keys=[str(tmp_path / "roster.toml")])
        assert [finding.code for finding in report.findings] == found


# changes of its text


def test_what_is_added_and_revoked_leaves_all_else_as_it_stands() -> None:
    text = add_key(NEW, TrustedKey("a", KEY.public_hex, valid_from=START_NS, note='of "Ann"\\\x7f\n'))
    text = text.replace('name = "a"', 'name = "a"  # mine') + "# and:\n"
    text = add_key(text, TrustedKey("b", STRANGER.public_hex, valid_until=START_NS))
    keys = parse_roster(text.encode(), "r")
    revoked = revoke_key(text, keys[0], START_NS + HOUR, "compromised", "not told twice")
    revoked = revoke_key(revoked, parse_roster(revoked.encode(), "r")[1], START_NS, "retired", "gone")
    first, second = parse_roster(revoked.encode(), "r")
    assert (first.note, first.reason, first.revoked_at) == (
        'of "Ann"\\\x7f\n',
        "compromised",
        START_NS + HOUR,
    )
    assert (second.note, second.reason) == ("gone", "retired")
    assert [line for line in text.split("\n") if line not in revoked.split("\n")] == []
    with pytest.raises(EvidenceError, match="revoked already"):
        revoke_key(revoked, first, START_NS, "retired")


def test_trust_is_given_in_any_form(tmp_path: Path) -> None:
    third = generate(b"\x03" * 32)
    (tmp_path / "roster").write_bytes(roster())
    (tmp_path / "key").write_bytes(render_public_key(STRANGER.public_hex))
    trust = read_trust([str(tmp_path / "roster"), str(tmp_path / "key"), third.public_hex])
    assert list(trust) == [KEY.public_hex, STRANGER.public_hex, third.public_hex]
    for missing in (str(tmp_path / "none.toml"), str(tmp_path / "none"), str(tmp_path), ""):
        with pytest.raises(EvidenceError):
            read_trust([missing])
