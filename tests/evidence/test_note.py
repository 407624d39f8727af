"""Signed notes, also as Go reads them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.evidence.golang import REFUSED, ask
from tests.evidence.specimens import KEY, STRANGER

from trio_egress.evidence.note import (
    NOTE_BYTES,
    SIGNATURES,
    is_note_signed,
    parse_base64,
    parse_note,
    render_key_id,
    render_verifier_key,
    sign_note,
)
from trio_egress.evidence.sign import PublicKey

NAME = "example.com/log"
TEXT = "one\n\ntwo \u2014 drei ü\n"
NOTE = sign_note(TEXT, NAME, KEY)

# The key and the note of Go's own documentation of the package.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
PETERS_NOTE = (
    PETERS_TEXT + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvq"
    "fqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()


def test_a_text_is_signed_and_read_again() -> None:
    note = parse_note(NOTE)
    assert note.text == TEXT
    assert [signature.name for signature in note.signatures] == [NAME]
    assert is_note_signed(note, NAME, KEY.public_hex)


def test_the_note_of_gos_documentation_is_believed() -> None:
    public = PublicKey(base64.b64decode(PETER.split("+", 2)[2])[1:].hex())
    assert render_key_id("PeterNeumann", public).hex() == "c74f20a3"
    assert render_verifier_key("PeterNeumann", public) == PETER
    note = parse_note(PETERS_NOTE)
    assert note.text == PETERS_TEXT
    assert is_note_signed(note, "PeterNeumann", public)


def test_another_name_or_key_vouches_for_nothing() -> None:
    note = parse_note(NOTE)
    assert not is_note_signed(note, "example.com/other", KEY.public_hex)
    assert not is_note_signed(note, NAME, STRANGER.public_hex)


def test_signatures_of_others_are_ignored_and_a_wrong_one_of_ours_is_not() -> None:
    witness = sign_note(TEXT, "witness.example", STRANGER).removeprefix(f"{TEXT}\n".encode())
    assert is_note_signed(parse_note(NOTE + witness), NAME, KEY.public_hex)
    assert is_note_signed(parse_note(NOTE + witness), "witness.example", STRANGER.public_hex)
    forged = render_key_id(NAME, KEY.public_hex) + STRANGER.sign(TEXT.encode())
    line = f"\u2014 {NAME} {base64.b64encode(forged).decode()}\n".encode()
    assert not is_note_signed(parse_note(NOTE + line), NAME, KEY.public_hex)


@pytest.mark.parametrize("at", range(len(NOTE)))
def test_no_bit_can_be_flipped(at: int) -> None:
    raw = bytearray(NOTE)
    raw[at] ^= 1
    try:
        note = parse_note(bytes(raw))
    except ValueError:
        return
    assert not is_note_signed(note, NAME, KEY.public_hex)


@pytest.mark.parametrize("end", range(len(NOTE)))
def test_no_byte_can_be_left_out_at_the_end(end: int) -> None:
    with pytest.raises(ValueError, match=r"note|signature|base64"):
        parse_note(NOTE[:end])


SIGNED = b"text\n\n\xe2\x80\x94 name AAAAAAA=\n"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (SIGNED.replace(b"text", b"te\xffxt"), "not UTF-8"),
        (SIGNED.replace(b"text", b"te\txt"), "control characters"),
        (SIGNED.replace(b"text", b"te\rxt"), "control characters"),
        (SIGNED.replace(b"\n\n", b"\n"), "without a blank line"),
        (SIGNED[:-1], "without a blank line"),
        (b"text\n\n", "without a blank line"),
        (SIGNED.replace(b"\xe2\x80\x94", b"-"), "a dash, a name"),
        (SIGNED.replace(b"name", b"na+me"), "a dash, a name"),
        (SIGNED.replace(b"name", "na\u00a0me".encode()), "a dash, a name"),
        (SIGNED.replace(b"name ", b""), "a dash, a name"),
        (SIGNED.replace(b"name", b""), "a dash, a name"),
        (SIGNED.replace(b"AAAAAAA=", b"AAAA*AA="), "not base64"),
        (SIGNED.replace(b"AAAAAAA=", "AAAAAAÄ=".encode()), "not base64"),
        (SIGNED.replace(b"AAAAAAA=", b"AAAAAAB="), "another spelling"),
        (SIGNED.replace(b"AAAAAAA=", b"AAAAAA=="), "less than five bytes"),
        (SIGNED + SIGNED.partition(b"\n\n")[2] * SIGNATURES, "more than 100 signatures"),
        (b"x" * NOTE_BYTES + SIGNED, "more than 65536 bytes"),
    ],
)
def test_what_is_no_note_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    assert parse_note(SIGNED).text == "text\n"
    with pytest.raises(ValueError, match=reason):
        parse_note(raw)


def test_base64_of_another_length_is_refused() -> None:
    assert parse_base64("AAAA", 3) == bytes(3)
    with pytest.raises(ValueError, match="3 bytes where 4"):
        parse_base64("AAAA", 4)


def test_go_reads_the_same_notes(go_tlog: Path) -> None:
    key = render_verifier_key(NAME, KEY.public_hex)
    other = render_verifier_key(NAME, STRANGER.public_hex)
    flipped = [bytes([*NOTE[:at], NOTE[at] ^ 1, *NOTE[at + 1 :]]) for at in range(0, len(NOTE), 5)]
    said = ask(
        go_tlog,
        {"Kind": "note", "Note": NOTE, "Keys": [key]},
        {"Kind": "note", "Note": NOTE, "Keys": [other, key]},
        {"Kind": "note", "Note": NOTE, "Keys": [other]},
        *({"Kind": "note", "Note": raw, "Keys": [key]} for raw in flipped),
    )
    assert said[:2] == [TEXT, TEXT]
    assert all(answer.startswith(REFUSED) for answer in said[2:])
