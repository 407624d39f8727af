"""Findings as stored receipts tell them: whatever stands there, what is read is short, printable and true to it."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.evidence.scan_form import FINDINGS_MAX
from trio_egress.evidence.scan_read import ReadFinding, merge_read, read_findings

FINDING = {
    "detector": "acme-token",
    "kind": "secret",
    "place": "header x",
    "via": ["gzip", "base64"],
    "action": "block",
    "severity": "high",
    "commitment": f"[acme-token:{'0' * 32}]",
    "count": 2,
}
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_a_finding_is_read_and_described() -> None:
    (found,) = read_findings({"findings": [FINDING]})
    assert found.describe() == "acme-token in header x (base64 in gzip)"
    assert (found.done, found.count) == ("blocked", 2)
    assert found.is_said("acme-token was found in header x")
    assert not found.is_said("acme-token was found in body")


@given(st.dictionaries(st.sampled_from(list(FINDING)), _ANY), _ANY)
def test_what_is_no_finding_is_left_out_and_nothing_raises(changes: dict[str, object], other: object) -> None:
    for each in read_findings({"findings": [{**FINDING, **changes}, other]}):
        assert each.describe().isascii()
        assert each.describe().isprintable()
        assert len(each.describe()) < 30_000
    assert read_findings({"findings": other}) == read_findings({"findings": other})


def test_no_more_are_read_than_a_receipt_may_have() -> None:
    assert len(read_findings({"findings": [FINDING] * 100})) == FINDINGS_MAX


def test_equal_finds_of_other_values_are_one() -> None:
    (one,) = read_findings({"findings": [FINDING]})
    other = attrs.evolve(one, commitment=f"[acme-token:{'1' * 32}]")
    elsewhere = attrs.evolve(one, place="body")
    merged: tuple[ReadFinding, ...] = merge_read((one, elsewhere, other))
    assert [(each.place, each.count) for each in merged] == [("header x", 4), ("body", 2)]
