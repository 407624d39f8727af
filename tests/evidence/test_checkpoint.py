"""Checkpoints, also as Go reads them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.evidence.golang import REFUSED, ask
from tests.evidence.specimens import KEY, STRANGER

from trio_egress.evidence.checkpoint import parse_checkpoint, render_origin, sign_checkpoint
from trio_egress.evidence.note import render_verifier_key, sign_note

ROOT = bytes(range(32))
ENCODED = base64.b64encode(ROOT).decode()
ORIGIN = "trio-egress/run/run-1"
CHECKPOINT = sign_checkpoint("run-1", 20, ROOT, KEY)


def write(*lines: str, name: str = ORIGIN) -> bytes:
    return sign_note("".join(f"{line}\n" for line in lines), name, KEY)


def test_it_says_origin_size_and_root_and_is_signed_under_the_origin() -> None:
    assert CHECKPOINT.startswith(f"{ORIGIN}\n20\n{ENCODED}\n\n\u2014 {ORIGIN} ".encode())
    signed = parse_checkpoint(CHECKPOINT)
    log = signed.checkpoint
    assert (log.origin, log.size, log.root, log.extensions) == (ORIGIN, 20, ROOT, ())
    assert signed.is_signed(KEY.public_hex)
    assert not signed.is_signed(STRANGER.public_hex)


def test_a_run_cannot_vouch_for_another() -> None:
    signed = parse_checkpoint(write("trio-egress/run/run-2", "20", ENCODED))
    assert not signed.is_signed(KEY.public_hex)


@pytest.mark.parametrize(
    ("run_id", "origin"),
    [("run-1", ORIGIN), ("a+b", "trio-egress/run/a%2Bb"), ("a%2Bb", "trio-egress/run/a%252Bb")],
)
def test_each_run_has_an_origin_of_its_own_that_may_name_a_key(run_id: str, origin: str) -> None:
    assert render_origin(run_id) == origin
    assert parse_checkpoint(sign_checkpoint(run_id, 0, ROOT, KEY)).is_signed(KEY.public_hex)


def test_extension_lines_of_others_are_read() -> None:
    assert parse_checkpoint(write(ORIGIN, "0", ENCODED, "more", "still more")).checkpoint.extensions == (
        "more",
        "still more",
    )


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([ORIGIN, "20"], "less than three lines"),
        ([ORIGIN, "20", ENCODED, "", "more"], "an empty one"),
        (["", "20", ENCODED], "an empty one"),
        ([ORIGIN, "020", ENCODED], "leading zeros"),
        ([ORIGIN, "-1", ENCODED], "decimal"),
        ([ORIGIN, "\u0663", ENCODED], "decimal"),
        ([ORIGIN, "1" * 20, ENCODED], "19 digits"),
        ([ORIGIN, "20", ENCODED[:-1]], "not base64"),
        ([ORIGIN, "20", "AAAA"], "3 bytes where 32"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_a_reason(lines: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_checkpoint(write(*lines))


def test_go_believes_it_with_the_run_s_key_alone(go_tlog: Path) -> None:
    text = f"{ORIGIN}\n20\n{ENCODED}\n"
    said = ask(
        go_tlog,
        {"Kind": "note", "Note": CHECKPOINT, "Keys": [render_verifier_key(ORIGIN, KEY.public_hex)]},
        {"Kind": "note", "Note": CHECKPOINT, "Keys": [render_verifier_key(ORIGIN, STRANGER.public_hex)]},
        {"Kind": "note", "Note": CHECKPOINT, "Keys": [render_verifier_key(ORIGIN + "1", KEY.public_hex)]},
    )
    assert said[0] == text
    assert all(answer.startswith(REFUSED) for answer in said[1:])
