"""Timestamps by a real authority (`openssl ts`), which openssl itself checks as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.evidence.authority import is_believed_by_openssl, make_authority, run, stamp

from trio_egress.errors import EvidenceError
from trio_egress.evidence.timestamp import Stamped, check_timestamp, render_request

MESSAGE = b"a checkpoint\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture(scope="module")
def answer(authority: Path) -> bytes:
    return stamp(authority, render_request(MESSAGE))


def check(answer: bytes, authority: Path, message: bytes = MESSAGE) -> Stamped | str:
    return check_timestamp(answer, message, (authority / "root.pem").read_bytes())


def test_the_request_is_openssl_s_own_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(MESSAGE)
    run("openssl ts -query -data message -sha256 -cert -no_nonce -out request", tmp_path, check=True)
    assert render_request(MESSAGE) == (tmp_path / "request").read_bytes()


def test_the_answer_of_an_authority_tells_the_time(answer: bytes, authority: Path) -> None:
    found = check(answer, authority)
    assert isinstance(found, Stamped)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.time)
    assert found.policy == "1.2.3.4.1"
    assert is_believed_by_openssl(authority, answer, MESSAGE)


def test_it_says_nothing_of_other_bytes(answer: bytes, authority: Path) -> None:
    assert check(answer, authority, MESSAGE + b" ") == "Mismatch between messages"
    assert not is_believed_by_openssl(authority, answer, MESSAGE + b" ")


def test_nobody_else_s_root_believes_it(answer: bytes, tmp_path: Path) -> None:
    other = make_authority(tmp_path / "other")
    assert isinstance(check(answer, other), str)
    assert not is_believed_by_openssl(other, answer, MESSAGE)


def test_no_bit_of_what_is_signed_can_be_flipped(answer: bytes, authority: Path) -> None:
    """Some bits nobody signs, as openssl sees it too; those of the time and the hash are not among them."""
    sound = check(answer, authority)
    for at in range(len(answer)):
        bent = bytes([*answer[:at], answer[at] ^ 1, *answer[at + 1 :]])
        try:
            found = check(bent, authority)
        except EvidenceError:
            continue
        assert isinstance(found, str) or found == sound


def test_where_ours_believes_a_bent_answer_openssl_does_too(answer: bytes, authority: Path) -> None:
    for at in range(0, len(answer), 23):
        bent = bytes([*answer[:at], answer[at] ^ 1, *answer[at + 1 :]])
        try:
            found = check(bent, authority)
        except EvidenceError:
            continue
        assert isinstance(found, str) or is_believed_by_openssl(authority, bent, MESSAGE), at


@pytest.mark.parametrize("raw", [b"", b"x", b"0\x03\x02\x01\x00", b"0" * 300])
def test_what_is_no_answer_is_told(raw: bytes, authority: Path) -> None:
    with pytest.raises(EvidenceError, match="not the answer of a time-stamping authority"):
        check(raw, authority)


def test_what_are_no_certificates_is_told(answer: bytes) -> None:
    with pytest.raises(EvidenceError, match="not PEM"):
        check_timestamp(answer, MESSAGE, b"nothing")
