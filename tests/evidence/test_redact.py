"""What is secret stands in no receipt; what stands for it is the same each time, and tells nothing without the key."""

from __future__ import annotations

import hashlib
import hmac
import json

import attrs
import pytest
from tests.evidence.specimens import KEY, SESSION, Scribe, codes, replay

from trio_egress.evidence.chain import Chain
from trio_egress.evidence.receipt_form import COMMITMENT
from trio_egress.evidence.redact import CLEAN_CHARS, CLEAN_MAX, LABEL, Redactor, Withheld, commit
from trio_egress.evidence.spellings import list_spellings

RUN_KEY = b"\x07" * 32
TOKEN = "sk-live-9f3a7c51d2e8b640"
REDACTOR = Redactor(RUN_KEY, {"token": TOKEN.encode(), "other": b"another value"})
STANDS = commit(RUN_KEY, "token", TOKEN.encode())


def write(
    *drafts: dict[str, object], redactor: Redactor | None = REDACTOR, actor: str = "agent.sh"
) -> list[bytes]:
    scribe = Scribe(attrs.evolve(SESSION, actor=actor))
    scribe.chain = Chain(KEY, scribe.session, redactor)
    scribe.open()
    for members in drafts:
        scribe.append(scribe.draft(**{"verdict": "block", **members}))  # type: ignore[arg-type]
    return scribe.close(facts={"protected": [TOKEN]}).lines


def test_a_commitment_is_half_of_a_keyed_hash_of_class_and_value() -> None:
    digest = hmac.new(RUN_KEY, LABEL + b"\0token\0" + TOKEN.encode(), hashlib.sha256).hexdigest()
    assert f"[token:{digest[:32]}]" == STANDS
    assert COMMITMENT.fullmatch(STANDS)


def test_another_key_class_or_value_gives_another_commitment() -> None:
    others = {
        commit(b"\x08" * 32, "token", TOKEN.encode()),
        commit(RUN_KEY, "other", TOKEN.encode()),
        commit(RUN_KEY, "token", b"x"),
        STANDS,
    }
    assert len(others) == 4


PLACES = [
    {"target": f"http://a.example/{TOKEN}"},
    {"method": TOKEN},
    {"layer": TOKEN},
    {"pattern": TOKEN},
    {"severity": TOKEN},
    {"facts": {"reason": TOKEN}},
    {"facts": {"list": [["x", {"deep": TOKEN}]]}},
    {"facts": {TOKEN: 1}},
]


@pytest.mark.parametrize("members", PLACES, ids=str)
def test_a_secret_is_in_no_text_of_a_signed_receipt(members: dict[str, object]) -> None:
    lines = write(members)
    assert TOKEN.encode() not in b"".join(lines)
    assert STANDS.encode() in lines[1]
    record = json.loads(lines[1])["action_record"]
    assert record["redaction"] == {"total_redactions": 1, "by_class": {"token": 1}}
    assert codes(replay(lines)) == []


@pytest.mark.parametrize("members", PLACES, ids=str)
def test_a_secret_is_found_beside_texts_that_are_known_to_be_clean(members: dict[str, object]) -> None:
    redactor = Redactor(RUN_KEY, {"token": TOKEN.encode()})
    usual: dict[str, object] = {"target": "http://a.example/", "facts": {"reason": "usual", "list": ["x"]}}
    lines = write(usual, members, usual, members, redactor=redactor)
    assert [STANDS in line.decode() for line in lines[1:-1]] == [False, True, False, True]
    assert not any(TOKEN in line.decode() for line in lines)


def test_no_more_texts_are_known_to_be_clean_than_so_many() -> None:
    redactor = Redactor(RUN_KEY, {"token": TOKEN.encode()})
    many: list[dict[str, object]] = [{"target": f"http://{number}.example/"} for number in range(CLEAN_MAX)]
    write(*many, {"facts": {"list": [str(number) for number in range(2 * CLEAN_MAX)]}}, redactor=redactor)
    assert len(redactor._clean) <= CLEAN_MAX
    write({"target": "t" * (CLEAN_CHARS + 1)}, {"target": "t" * CLEAN_CHARS}, redactor=redactor)
    assert "t" * CLEAN_CHARS in redactor._clean
    assert "t" * (CLEAN_CHARS + 1) not in redactor._clean


@pytest.mark.parametrize("members", PLACES, ids=str)
def test_where_nothing_is_secret_it_is_there(members: dict[str, object]) -> None:
    lines = write(members, redactor=None)
    assert TOKEN.encode() in lines[1]
    assert "redaction" not in json.loads(lines[1])["action_record"]


def test_a_secret_is_in_no_receipt_of_the_session_itself() -> None:
    lines = write(actor=f"run-{TOKEN}")
    assert TOKEN.encode() not in b"".join(lines)
    assert json.loads(lines[0])["action_record"]["actor"] == f"run-{STANDS}"
    assert json.loads(lines[-1])["ext"]["trio_egress"]["protected"] == [STANDS]


def test_a_text_is_cut_only_after_its_secrets_are_gone() -> None:
    lines = write(
        {"target": "x" * 4090 + TOKEN, "facts": {"reason": "y" * 2040 + TOKEN}, "method": "M" * 250 + TOKEN}
    )
    assert b"sk-l" not in b"".join(lines)


def test_several_secrets_of_one_receipt_are_counted_by_name() -> None:
    (_, line, _) = write({"target": f"{TOKEN}/another%20value", "facts": {"reason": TOKEN}})
    redaction = json.loads(line)["action_record"]["redaction"]
    assert redaction == {"total_redactions": 3, "by_class": {"other": 1, "token": 2}}


def test_a_receipt_without_secrets_has_the_same_bytes_as_ever() -> None:
    plain = [
        json.loads(line)["action_record"]
        for line in write({"target": "http://a.example/"}, redactor=None)[1:2]
    ]
    treated = [json.loads(line)["action_record"] for line in write({"target": "http://a.example/"})[1:2]]
    for record in (*plain, *treated):
        del record["chain_prev_hash"]  # the open receipts differ
    assert plain == treated


def test_what_is_withheld_is_told_by_commitments_alone() -> None:
    facts = {"query_values": Withheld("query", (b"one", b"two", b"one"))}
    (_, line, _) = write({"facts": facts}, redactor=Redactor(RUN_KEY))
    first, second, third = json.loads(line)["ext"]["trio_egress"]["query_values"]
    assert first == third == commit(RUN_KEY, "query", b"one")
    assert first != second
    assert "redaction" not in json.loads(line)["action_record"]
    assert "one" not in repr(facts)


def test_of_many_withheld_values_the_rest_is_a_number() -> None:
    facts = {"query_values": Withheld("query", tuple(b"%d" % number for number in range(40)))}
    (_, line, _) = write({"facts": facts})
    told = json.loads(line)["ext"]["trio_egress"]["query_values"]
    assert len(told) == 33
    assert told[-1] == "...(8 more)"


def test_the_open_receipt_names_the_commitment_key_and_does_not_tell_it() -> None:
    first = write()[0]
    assert json.loads(first)["ext"]["trio_egress"]["commitment_key_sha256"] == REDACTOR.key_sha256
    assert RUN_KEY.hex().encode() not in first
    assert REDACTOR.key_sha256 != Redactor(b"\x08" * 32).key_sha256


@attrs.frozen
class Inner:
    text: str
    number: int


@attrs.frozen
class Outer:
    inner: Inner
    texts: tuple[str, ...]
    raw: bytes = TOKEN.encode()


def test_values_of_classes_are_redacted_through_and_through() -> None:
    outer = Outer(Inner(f"a {TOKEN}", 1), (TOKEN, "b"))
    assert REDACTOR.redact_fields(outer) == Outer(Inner(f"a {STANDS}", 1), (STANDS, "b"))
    assert Redactor(RUN_KEY).redact_fields(outer) is outer


def test_what_is_said_is_said_without_secrets() -> None:
    said: list[str] = []
    REDACTOR.hush(said.append)(f"denied {TOKEN}")
    assert said == [f"denied {STANDS}"]
    assert Redactor(RUN_KEY).hush(said.append) == said.append


def test_a_redactor_shows_names_alone() -> None:
    assert repr(REDACTOR) == "Redactor(token, other)"
    assert REDACTOR.holds(f"x{TOKEN}x") == "token"
    assert REDACTOR.holds("x") == ""


def test_one_that_knows_some_secrets_alone_finds_no_others() -> None:
    secrets = {"one": b"first-secret", "other": b"second-secret"}
    redactor = Redactor(bytes(32), secrets)
    assert redactor.only(["one"]).holds("a first-secret b") == "one"
    assert redactor.only(["one"]).holds("a second-secret b") == ""
    assert redactor.only(["one", "other"]) is redactor
    assert redactor.value_of("one") == b"first-secret"
    assert redactor.commit("one") == redactor.redact("first-secret") == redactor.only(["one"]).commit("one")


def test_whole_spellings_are_those_that_the_finder_finds() -> None:
    """Of a stream, where no pattern can be tried, at least what stands in texts by itself; HTML is more."""
    value = b'a/Key+of "9" <&>'
    spellings = list_spellings(value)
    assert len(spellings) == len(set(spellings))
    assert all(spelling == spelling.lower() for spelling in spellings)
    redactor = Redactor(bytes(32), {"one": value})
    found = [spelling for spelling in spellings if redactor.holds(spelling.decode())]
    assert [spelling for spelling in spellings if spelling not in found] == [
        spelling for spelling in spellings if b"&lt;" in spelling
    ]
