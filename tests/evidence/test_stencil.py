"""Stencils give what is rendered in full, byte for byte, or nothing; an oracle renders every receipt in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.specimens import KEY, SESSION, START_NS

from trio_egress.evidence.canonical import render_canonical, render_stored
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.facts import EXT_NAME, FACT_CHARS, SAFE_INTEGER, render_ext
from trio_egress.evidence.receipt import TARGET_CHARS, Draft, render_ext_ref, render_record
from trio_egress.evidence.stencil import ITEMS, PORT_MAX, STENCILS, Stencils

ACTION = "01890000-0000-7000-8000-000000000000"
FACTS: Mapping[str, object] = {
    "host": "api.example.com",
    "port": 443,
    "proto": "http",
    "reason": "egress[0] 'api.example.com' (line 5) allows it",
    "needs": ["bodies", "tls"],
    "flow": 7,
}
SHOWN = ("2027-01-15T08:00:00.5Z", "ab" * 32, 12, render_ext_ref(b"{}"))


class NoStencils(Stencils):
    """Has every receipt rendered in full."""

    def fill_ext(self, facts: Mapping[str, object]) -> bytes | None:
        return None

    def fill_record(self, *_: object) -> bytes | None:
        return None


def make_draft(**members: Any) -> Draft:
    usual: dict[str, Any] = {
        "target": "http://api.example.com/v1",
        "verdict": "allow",
        "transport": "forward",
    }
    return Draft(
        **{"action_id": ACTION, "facts": FACTS, "method": "GET", "layer": "rule", **usual, **members}
    )


def render_record_in_full(draft: Draft) -> bytes:
    moment, before, seq, _ = SHOWN
    fixed = {"principal": "p", "actor": "a", "policy_hash": "h", "session_id": "s", "run_nonce": "n"}
    return render_stored(
        render_record(
            draft, {**fixed, "timestamp": moment, "chain_prev_hash": before, "chain_seq": seq}, b"{}"
        )
    )


def learned(facts: Mapping[str, object] = FACTS) -> Stencils:
    stencils = Stencils()
    stencils.cut_ext(facts, render_stored(render_ext(facts)))
    return stencils


odd = st.sampled_from(
    ["", "\\", '"', "<", ">", "&", "%", "%s", "%(x)s", "{}", "\x7f", "\x00", "é", "\u2028", "\U0001f600"]
)
texts = st.one_of(
    st.text("abc/.:", max_size=12), odd, st.tuples(st.text("ab"), odd).map("".join), st.text(max_size=8)
)
lists = st.lists(texts, max_size=3)
values: dict[str, st.SearchStrategy[object]] = {
    "host": texts,
    "port": st.integers(0, PORT_MAX),
    "reason": texts,
    "bytes_up": st.integers(0, SAFE_INTEGER),
    "status": st.sampled_from([200, 404]),
    "error": st.integers(-5, 5),
    "needs": lists,
    "subprotocol": st.one_of(st.none(), texts),
    "websocket": st.booleans(),
    "other %": st.one_of(texts, st.integers(-3, 3), st.none(), st.booleans()),
}
facts = st.fixed_dictionaries(
    {name: values[name] for name in ("host", "port", "reason")},
    optional={name: each for name, each in values.items() if name not in ("host", "port", "reason")},
)
drafts = st.builds(
    make_draft,
    target=texts,
    verdict=st.sampled_from(["allow", "block"]),
    phase=st.sampled_from(["", "intent", "outcome"]),
    method=st.one_of(st.just("GET"), texts),
    layer=st.sampled_from(["rule", "scan"]),
    pattern=st.one_of(st.just(""), texts),
    parent_id=st.sampled_from(["", ACTION]),
    replaced=st.sampled_from([{}, {"query": 2}]),
    facts=facts,
)


@given(st.lists(st.one_of(drafts, st.just("another policy")), max_size=12))
def test_a_chain_with_stencils_is_a_chain_rendered_in_full(steps: list[Draft | str]) -> None:
    usual, full = Chain(KEY, SESSION), Chain(KEY, SESSION)
    full._stencils = NoStencils()
    for chain in (usual, full):
        chain.open(START_NS)
    # Twice: what the first time is learned from is filled the second time.
    for number, step in enumerate([*steps, *steps]):
        now_ns = START_NS + number * 1_500_000_000
        lines = [
            chain.change_policy(make_draft(transport="policy"), f"sha256:{number:064}", now_ns)
            if isinstance(step, str)
            else chain.append(step, now_ns)
            for chain in (usual, full)
        ]
        assert lines[0] == lines[1]
    assert (usual.head, usual.root) == (full.head, full.root)


def test_the_second_receipt_of_a_kind_is_filled() -> None:
    stencils = learned()
    others = {**FACTS, "host": "other.example", "needs": ["scan"], "flow": SAFE_INTEGER}
    assert stencils.fill_ext(others) == render_stored(render_ext(others))
    first, second = make_draft(), make_draft(target="http://other.example/%s")
    assert stencils.fill_record(first, *SHOWN) is None
    stencils.cut_record(first, *SHOWN, render_record_in_full(first))
    assert stencils.fill_record(second, *SHOWN) == render_record_in_full(second)


@pytest.mark.parametrize(
    "facts",
    [
        {**FACTS, "port": PORT_MAX + 1},
        {**FACTS, "flow": -1},
        {**FACTS, "flow": SAFE_INTEGER + 1},
        {**FACTS, "flow": 1.0},
        {**FACTS, "flow": True},
        {**FACTS, "needs": []},
        {**FACTS, "needs": [1]},
        {**FACTS, "needs": ["a"] * (ITEMS + 1)},
        {**FACTS, "host": "h" * (FACT_CHARS + 1)},
        {**FACTS, "host": 5},
        *({**FACTS, name: f"a{odd}b"} for name in ("host", "reason") for odd in '"\\<>&\x7f\né'),
        *({**FACTS, "needs": ["a", f"{odd}"]} for odd in '"\\<>&\x7f\né'),
    ],
)
def test_what_has_another_form_or_a_second_spelling_is_not_filled(facts: Mapping[str, object]) -> None:
    assert learned().fill_ext(facts) is None


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"v": 1, "host": "h", "port": 1},
        {"host": "h"},
        {"port": 1},
        {**FACTS, "<": "a"},
        {**FACTS, "mode": None},
        {**FACTS, "counters": {"a": "b"}},
        {**FACTS, **{f"x{number}": number for number in range(ITEMS)}},
    ],
)
def test_no_stencil_is_cut_of_what_it_could_not_give_back(facts: Mapping[str, object]) -> None:
    assert learned(facts).fill_ext(facts) is None


def test_a_stencil_that_would_give_other_bytes_is_none() -> None:
    stencils = Stencils()
    stencils.cut_ext(FACTS, b"{}")
    assert stencils.fill_ext(FACTS) is None
    draft = make_draft()
    stencils.cut_record(draft, "another moment", *SHOWN[1:], render_record_in_full(draft))
    assert stencils.fill_record(draft, *SHOWN) is None


@pytest.mark.parametrize(
    "members",
    [
        {"target": ""},
        {"target": "t" * (TARGET_CHARS + 1)},
        {"target": "a\x7f"},
        {"target": "<"},
        {"parent_id": ACTION},
        {"method": "POST"},
    ],
)
def test_a_record_that_its_stencil_was_not_made_for_is_not_filled(members: dict[str, Any]) -> None:
    stencils = Stencils()
    stencils.cut_record(make_draft(), *SHOWN, render_record_in_full(make_draft()))
    assert stencils.fill_record(make_draft(), *SHOWN) is not None
    assert stencils.fill_record(make_draft(**members), *SHOWN) is None


def test_a_record_whose_byte_forms_differ_makes_no_stencil() -> None:
    odd = make_draft(method="é")
    assert render_record_in_full(odd) != render_canonical(odd.method)
    stencils = Stencils()
    stencils.cut_record(odd, *SHOWN, render_record_in_full(odd))
    assert stencils.fill_record(odd, *SHOWN) is None


def test_no_more_than_so_many_stencils_are_kept() -> None:
    stencils = learned()
    for number in range(STENCILS):
        facts = {**FACTS, f"x{number}": number}
        stencils.cut_ext(facts, render_stored(render_ext(facts)))
        draft = make_draft(method=f"M{number}")
        stencils.cut_record(draft, *SHOWN, render_record_in_full(draft))
    assert stencils.fill_ext(facts) is not None
    assert stencils.fill_ext(FACTS) is None
    assert max(len(stencils._exts), len(stencils._records)) <= STENCILS


def test_the_ext_of_a_stencil_is_the_one_of_the_run() -> None:
    stored = learned().fill_ext(FACTS)
    assert stored is not None
    assert stored.startswith(f'{{"{EXT_NAME}":'.encode())
