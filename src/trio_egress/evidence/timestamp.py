"""RFC 3161 timestamps of a checkpoint: the request for one, and what a time-stamping authority's answer proves.

Asks nobody: who wants a timestamp sends the request. The answer is read by rfc3161-client, imported late.

Rule 1: what is stamped is the bytes of checkpoint.txt, so `openssl ts` makes and checks the same.
Rule 2: an authority is believed by the certificates that the caller names, none by the machine's.
Rule 3: no answer's bytes raise anything but EvidenceError (it could not be read) or make a reason (it proves nothing).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from trio_egress.errors import EvidenceError
from trio_egress.values import frozen

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

TOKEN_BYTES = 256 * 1024
"""An answer with a chain of certificates is some ten thousand bytes."""

# RFC 3161 2.4.1: version 1, SHA-256 of the message, certReq. No nonce: an older answer for these bytes is worth more.
_REQUEST = bytes.fromhex("3039020101 3031300d060960864801650304020105000420")
_CERTIFICATES_WANTED = bytes.fromhex("0101ff")

NEEDS = "reading a timestamp needs rfc3161-client: pip install 'trio-egress[timestamp]'"


@frozen
class Stamped:
    """That an authority saw these bytes: when by its clock (RFC 3339, UTC), its policy, the number of its answer."""

    time: str
    policy: str
    serial: int


def render_request(message: bytes) -> bytes:
    """The DER of a TimeStampReq for these bytes."""
    return _REQUEST + hashlib.sha256(message).digest() + _CERTIFICATES_WANTED


def check_timestamp(raw: bytes, message: bytes, authorities: bytes) -> Stamped | str:
    """What an answer (TimeStampResp) says of these bytes, or why it proves nothing.

    `authorities` are PEM certificates of who is believed. Raises EvidenceError where one of them could not be read.
    """
    try:
        from cryptography.x509 import load_pem_x509_certificates
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
    except ImportError:
        raise EvidenceError(NEEDS) from None
    try:
        roots = load_pem_x509_certificates(authorities)
    except ValueError:
        raise EvidenceError("the authority's certificates are not PEM") from None
    try:
        response = decode_timestamp_response(raw)
    except ValueError:
        raise EvidenceError("not the answer of a time-stamping authority (DER of a TimeStampResp)") from None
    try:
        VerifierBuilder(roots=roots).build().verify_message(response, message)
        return _tell(response)
    except VerificationError as error:
        return _shorten(str(error))
    except (
        Exception
    ) as error:  # cryptography's errors about the certificates inside have no base of their own
        return _shorten(f"the answer is malformed: {error}")


def _tell(response: TimeStampResponse) -> Stamped:
    info = response.tst_info
    time = info.gen_time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Stamped(time, info.policy.dotted_string, info.serial_number)


def _shorten(text: str) -> str:
    return text[:200].encode("unicode_escape").decode("ascii")
