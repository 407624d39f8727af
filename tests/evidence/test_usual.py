"""The short cut reads what the full way reads, and nothing else.

Lines are honest ones, mutated: whatever the short cut takes, the full way must read as the same.
"""

from __future__ import annotations

import json
import random
import re
import string

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.evidence.specimens import SESSION, Scribe, write_chain

from trio_egress.evidence.facts import FACTS
from trio_egress.evidence.line import Line, read_in_full, read_line
from trio_egress.evidence.members import Shape
from trio_egress.evidence.receipt_form import RECORD
from trio_egress.evidence.usual import FORMS, KEYS, SEEN, UsualForms


def _write_varied() -> list[bytes]:
    scribe = Scribe().open()
    for number in range(SEEN + 2):
        scribe.allow(f"host-{number}.example", up=number, down=number * 10**number).block()
        facts = {"query": ["a", "b"], "calls": [], "websocket": True, "judged_us": number - 3, "port": number}
        scribe.append(scribe.draft(method="GET", facts=facts, pattern="p", severity="low"))
        scribe.append(scribe.draft(transport="packet", verdict="block", facts={"counter": "udp", "count": 3}))
    return [line[:-1] for line in scribe.heartbeat().close().lines]


LINES = _write_varied()


def _taught() -> UsualForms:
    forms = UsualForms()
    for raw in LINES:
        line = read_in_full(raw)
        assert isinstance(line, Line)
        assert not line.misfits
        forms.learn(raw, line.record, (line.ext or {})["trio_egress"], line.signer_key)
    return forms


def test_a_form_is_known_once_it_was_seen_often_enough() -> None:
    forms = _taught()
    assert forms.find(LINES[-6]) is not None
    assert UsualForms().find(LINES[-6]) is None


def test_what_the_short_cut_reads_is_what_the_full_way_reads() -> None:
    for raw in LINES:
        read_line(raw)
    for raw in LINES:
        assert read_line(raw) == read_in_full(raw)


PIECES = [
    b"0",
    b"1",
    b"-",
    b" ",
    b".0",
    b"e3",
    b'""',
    b'"',
    b"\\u0061",
    b"\x7f",
    b"\0",
    b"&",
    b",",
    b"a",
    b"A",
    b"65536",
]


def _mutate(chance: random.Random, raw: bytes) -> bytes:
    at = chance.randrange(len(raw))
    # Mostly what could be taken for the same receipt: digits, spaces, escapes, signs, other members' texts.
    piece = chance.choice(PIECES)
    match chance.randrange(4):
        case 0:
            return raw[:at] + piece + raw[at + len(piece) :]
        case 1:
            return raw[:at] + piece + raw[at:]
        case 2:
            return raw[:at] + raw[at + 1 :]
    other = chance.choice(LINES)
    size = chance.randrange(1, 80)
    return raw[:at] + other[at : at + size] + raw[at + size :]


@pytest.mark.parametrize("seed", range(20))
def test_no_mutation_is_read_otherwise_by_the_short_cut(seed: int) -> None:
    chance = random.Random(seed)
    for raw in LINES:
        read_line(raw)
    for _ in range(300):
        raw = _mutate(chance, chance.choice(LINES))
        assert read_line(raw) == read_in_full(raw)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"flow":', b'"flow":0'),
        (b'"flow":', b'"flow":-'),
        (b'"port":443', b'"port":65536'),
        (b'"port":443', b'"port":443.0'),
        (b'"port":443', b'"port":"443"'),
        (b'"chain_seq":', b'"chain_seq":1e'),
        (b'"verdict":"allow"', b'"verdict":"deny"'),
        (b'"host":"', b'"host":"\\u0068'),
        (b'"host":"', b'"host":"\x1f'),
        (b'"host":"', b'"host":"<'),
        (b'"delegation_chain":[]', b'"delegation_chain":[ ]'),
        (b'"actor":"agent.sh"', b'"actor":""'),
        (b'"transport":"transparent"', b'"transport":""'),
        (b'"ext":{', b'"ext":{ '),
        (b"}}}", b"}}} "),
        (b"}}}", b"}}}\n"),
    ],
)
def test_another_spelling_is_not_taken_for_the_usual_one(old: bytes, new: bytes) -> None:
    raw = LINES[1]
    assert old in raw
    assert _taught().find(raw) is not None
    assert _taught().find(raw.replace(old, new)) is None


def _teach_other(forms: UsualForms, number: int, times: int) -> bytes:
    """A line of a form of its own, learned so often."""
    receipt = json.loads(write_chain()[1])
    receipt["ext"]["trio_egress"] = {"v": 1, f"fact-{number}": 1}
    raw = json.dumps(receipt, separators=(",", ":")).encode()
    for _ in range(times):
        forms.learn(raw, receipt["action_record"], receipt["ext"]["trio_egress"], receipt["signer_key"])
    return raw


def test_no_more_forms_are_kept_than_a_log_has() -> None:
    forms = UsualForms()
    for number in range(FORMS + FORMS // 2):
        raw = _teach_other(forms, number, SEEN)
        assert sum(map(len, forms._forms.values())) == len(forms._made) <= FORMS
    assert forms.find(raw) is not None


def test_no_more_forms_are_counted_than_a_log_has() -> None:
    forms = UsualForms()
    known = _teach_other(forms, 0, SEEN)
    for number in range(1, KEYS + 3):
        _teach_other(forms, number, 1)
    assert len(forms._seen) <= KEYS
    assert forms.find(known) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actor", "another"),
        ("policy_hash", "sha256:" + "1" * 64),
        ("run_nonce", "00" * 16),
        ("verdict", "warn"),
        ("action_type", "read"),
        ("layer", "another"),
    ],
)
def test_a_line_that_differs_in_what_all_share_is_read_as_it_stands(name: str, value: str) -> None:
    receipt = json.loads(LINES[1])
    receipt["action_record"][name] = value
    raw = json.dumps(receipt, separators=(",", ":")).encode()
    read = read_line(raw)
    assert read == read_in_full(raw)
    assert isinstance(read, Line)
    assert read.record[name] == value


def test_a_form_is_found_with_other_commas_in_its_texts() -> None:
    raw = LINES[1].replace(b"a reason", b"a, reason, with, commas")
    assert raw != LINES[1]
    assert _taught().find(raw) is not None


def _write_named(actor: str, method: str, target: str, reason: str) -> list[bytes]:
    """Enough lines with these texts that their form is learned, and two that are then found by it."""
    scribe = Scribe(attrs.evolve(SESSION, actor=actor)).open()
    for _ in range(SEEN + 2):
        draft = scribe.draft(method=method, target=target, layer="a rule (1)")
        scribe.append(attrs.evolve(draft, facts={**draft.facts, "reason": reason}))
    return [line[:-1] for line in scribe.lines]


@pytest.mark.parametrize("name", ["actor", "method", "target", "reason"])
@pytest.mark.parametrize("character", string.printable)
def test_every_printable_character_is_read_as_in_full(name: str, character: str) -> None:
    texts = {"actor": "agent.sh", "method": "GET", "target": "tls://a.example:443", "reason": "a reason"}
    _check_both_ways(_write_named(**{**texts, name: f"a{character}b{character}"}))


_TEXTS = st.text(max_size=12) | st.text(string.punctuation + "a1 ", max_size=12)
_FILLED = _TEXTS.filter(bool)


@given(_FILLED, _TEXTS, _FILLED, _TEXTS)
@example("Claude (CI)", "notifications/a(b)", "mcp://server/(?P<a>b)", "(a) [b] {c} \\1 |")
@example("agent (1)", "", "tls://a.example:443", "a reason")
def test_any_texts_are_read_as_in_full(actor: str, method: str, target: str, reason: str) -> None:
    _check_both_ways(_write_named(actor, method, target, reason))


def _check_both_ways(lines: list[bytes]) -> None:
    for raw in lines:
        assert read_line(raw) == read_in_full(raw)


def test_an_actor_in_parentheses_has_a_form_as_well() -> None:
    lines = _write_named("Claude (CI)", "notifications/a(b)", "tls://a.example:443", "a reason")
    _check_both_ways(lines)
    forms = UsualForms()
    for raw in lines:
        line = read_in_full(raw)
        assert isinstance(line, Line)
        forms.learn(raw, line.record, (line.ext or {})["trio_egress"], line.signer_key)
    assert forms.find(lines[-1]) is not None


@pytest.mark.parametrize("shape", [*FACTS.values(), *(member.shape for member in RECORD.members)])
def test_an_expression_takes_one_value_at_most(shape: Shape) -> None:
    assert re.compile(shape.pattern).groups <= 1
