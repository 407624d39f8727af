"""One line read strictly. Each refusal has its control: the same line untouched is read without a misfit."""

from __future__ import annotations

import hashlib
import json

import pytest
from tests.evidence.specimens import KEY, Receipt, Scribe, rewrite, setting, setting_fact, sign, write_chain

from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.members import Misfit

LINE = write_chain()[1][:-1]
RECEIPT: Receipt = json.loads(LINE)


def _misfits(raw: bytes) -> list[str]:
    line = read_line(raw)
    misfits: tuple[Misfit, ...] = line.misfits if isinstance(line, Line) else line
    return sorted({misfit.code for misfit in misfits})


@pytest.mark.parametrize("line", Scribe().open().block(target="é<&>\u2028\x7f").heartbeat().close().lines)
def test_a_line_as_it_was_written_fits(line: bytes) -> None:
    assert _misfits(line[:-1]) == []


def test_the_hashes_are_those_of_the_canonical_bytes() -> None:
    line = read_line(LINE)
    assert isinstance(line, Line)
    record = json.dumps(RECEIPT["action_record"], separators=(",", ":")).encode()
    assert line.digest == hashlib.sha256(record).digest()
    assert line.hash == hashlib.sha256(LINE).hexdigest()
    assert (line.signer_key, len(line.signature)) == (KEY.public_hex, 64)


def _dump(receipt: Receipt, **options: object) -> bytes:
    return json.dumps(receipt, **{"separators": (",", ":"), **options}).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (_dump(RECEIPT, separators=(", ", ": ")), "line.bytes"),
        (LINE + b" ", "line.bytes"),
        (LINE + b"\r", "line.bytes"),
        (b" " + LINE, "line.bytes"),
        (LINE.replace(b"tls", b"\\u0074ls"), "line.bytes"),
        (LINE.replace(b"tls://", b"tls:\\/\\/"), "line.bytes"),
        (LINE.replace(b'"version":1,"action_id"', b'"version":1e0,"action_id"'), "line.form"),
        (LINE.replace(b'"chain_seq":1', b'"chain_seq":1.0'), "line.form"),
        (LINE.replace(b'"port":443', b'"port":NaN'), "line.form"),
        (LINE.replace(b'"verdict":"allow"', b'"verdict":"block","verdict":"allow"'), "line.repeated"),
        (
            LINE.replace(b'"version":1,"action_record"', b'"version":1,"version":1,"action_record"'),
            "line.repeated",
        ),
        (LINE.replace(b'"flow":1', b'"flow":1,"flow":1'), "line.repeated"),
        (b"", "line.form"),
        (b"{}", "member.missing"),
        (b"[]", "member.type"),
        (b"null", "member.type"),
        (b'"x"', "member.type"),
        (LINE[:-1], "line.form"),
        (LINE * 2, "line.form"),
        (b"\xef\xbb\xbf" + LINE, "line.encoding"),
        (LINE.replace(b"tls", "tlš".encode()), "line.encoding"),
        (LINE.replace(b"tls", b"\xff\xfe\xc0"), "line.encoding"),
        (b"[" * 100_000, "line.form"),
        (_dump({"type": "action_receipt", "detail": RECEIPT}), "member.unknown"),
        (_dump({"type": "checkpoint"}), "member.unknown"),
        (_dump({**RECEIPT, "note": 1}), "member.unknown"),
        (_dump({**RECEIPT, "version": True}), "member.type"),
        (_dump({**RECEIPT, "version": 2}), "member.type"),
        (_dump({**RECEIPT, "action_record": []}), "member.type"),
        (_dump({**RECEIPT, "signer_key": KEY.public_hex.upper()}), "member.type"),
        (_dump({**RECEIPT, "signature": str(RECEIPT["signature"]).upper()}), "member.type"),
        (_dump({**RECEIPT, "signature": f"{RECEIPT['signature']} "}), "member.type"),
        (_dump({**RECEIPT, "signature": str(RECEIPT["signature"])[8:]}), "member.type"),
        (_dump({**RECEIPT, "ext": {}}), "member.empty"),
        (_dump({**RECEIPT, "ext": None}), "member.type"),
        (_dump({name: RECEIPT[name] for name in RECEIPT if name != "ext"}), "ext.hash"),
        (LINE.replace(b'"port":443', b'"port":444'), "ext.hash"),
    ],
)
def test_a_line_with_another_spelling_is_refused(raw: bytes, found: str) -> None:
    assert found in _misfits(raw)


def test_a_receipt_in_another_member_order_is_refused() -> None:
    assert _misfits(_dump({name: RECEIPT[name] for name in reversed(RECEIPT)})) == ["member.order"]


def test_half_a_surrogate_pair_is_no_text_that_was_signed() -> None:
    assert _misfits(LINE.replace(b"tls://", b"\\ud800//")) == ["line.text"]


@pytest.mark.parametrize("levels", [125, 126])
def test_ext_nests_up_to_128_and_no_deeper(levels: int) -> None:
    value: object = 1
    for _ in range(levels):
        value = [value]
    line, _ = sign(_changed(setting_fact("deep", value)))
    assert _misfits(line[:-1]) == ([] if levels == 125 else ["line.form"])


@pytest.mark.parametrize("levels", [130, 900])
def test_a_deep_record_is_refused(levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    assert _misfits(LINE.replace(b'"delegation_chain":[]', b'"delegation_chain":' + deep)) != []


def _changed(change: object) -> Receipt:
    receipt: Receipt = json.loads(LINE)
    change(receipt)  # type: ignore[operator]
    return receipt


def _add_ref(receipt: Receipt, *refs: str) -> Receipt:
    setting("precedent_refs", [*refs])(receipt)
    return receipt


REF = "trio-egress/ext:sha256:" + "0" * 64


@pytest.mark.parametrize("refs", [[], [REF], [REF, REF], ["other"]])
def test_ext_is_bound_by_exactly_its_own_reference(refs: list[str]) -> None:
    line, _ = sign(_add_ref(json.loads(LINE), *refs), bind_ext=False)
    assert "ext.hash" in _misfits(line[:-1])


def test_references_to_other_things_may_stand_beside_it() -> None:
    bound = json.loads(LINE)["action_record"]["precedent_refs"]
    line, _ = sign(_add_ref(json.loads(LINE), "case:1", *bound), bind_ext=False)
    assert _misfits(line[:-1]) == []


def test_a_receipt_without_ext_and_without_reference_fits() -> None:
    receipt: Receipt = {name: value for name, value in RECEIPT.items() if name != "ext"}
    record = dict(RECEIPT["action_record"])  # type: ignore[call-overload]
    del record["precedent_refs"]
    line, _ = sign({**receipt, "action_record": record})
    assert _misfits(line[:-1]) == []


def test_a_record_that_does_not_fit_is_told_and_still_hashed() -> None:
    lines = rewrite(write_chain(), {3: setting("verdict", "banana")})
    line = read_line(lines[3][:-1])
    assert isinstance(line, Line)
    assert [misfit.place for misfit in line.misfits] == ["action_record.verdict"]
    assert line.hash in lines[4].decode()
