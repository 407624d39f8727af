"""ClientHellos of real clients and broken ones: every split point, every truncation, one byte over each limit."""

from __future__ import annotations

import itertools
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.errors import PeerError
from trio_egress.wire.tls_hello import (
    ACCESS_DENIED,
    HELLO_BYTES,
    HELLO_RECORDS,
    INTERNAL_ERROR,
    RAW_BYTES,
    UNRECOGNIZED_NAME,
    ClientHello,
    parse_client_hello,
    render_alert,
)

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "tls_hello"
"""Captured from the clients that the files are named after (Debian 12)."""
H1, H2 = "http/1.1", "h2"
CAPTURED = {
    "curl": ClientHello("api.example.com", (H2, H1), False),
    "curl-in-three-records": ClientHello("api.example.com", (H2, H1), False),
    "git-gnutls": ClientHello("localhost", (H2, H1), False),
    "java": ClientHello(None, (), False),
    "node": ClientHello("localhost", (H1,), False),
    "openssl": ClientHello("api.example.com", (), False),
    "python": ClientHello("api.example.com", (H2, H1), False),
    "python-no-name": ClientHello(None, (), False),
    "python-tls12": ClientHello("api.example.com", (), False),
    "wget-gnutls": ClientHello("localhost", (), False),
}


def vector(length_size: int, raw: bytes) -> bytes:
    return len(raw).to_bytes(length_size, "big") + raw


def record(fragment: bytes, kind: int = 22) -> bytes:
    return bytes((kind, 3, 1)) + vector(2, fragment)


def records(message: bytes, *cuts: int) -> bytes:
    edges = (0, *cuts, len(message))
    return b"".join(record(message[a:b]) for a, b in itertools.pairwise(edges))


def extension(kind: int, raw: bytes = b"") -> bytes:
    return kind.to_bytes(2, "big") + vector(2, raw)


def server_name(name: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes((kind,)) + vector(2, name)))


def alpn(*names: bytes) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


def message(
    extensions: bytes | None,
    version: bytes = b"\x03\x03",
    session: bytes = b"",
    suites: bytes = b"\x13\x01",
    compression: bytes = b"\x00",
) -> bytes:
    body = version + bytes(32) + vector(1, session) + vector(2, suites) + vector(1, compression)
    return b"\x01" + vector(3, body if extensions is None else body + vector(2, extensions))


NAMED = message(server_name(b"api.example.com"))


def padded(size: int) -> bytes:
    """A hello of exactly `size` bytes (RFC 7685 padding)."""
    return message(
        server_name(b"a.example") + extension(21, bytes(size - len(message(server_name(b"a.example"))) - 4))
    )


# real clients


def test_every_captured_hello_has_its_expectation() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(CAPTURED)


@pytest.mark.parametrize("client", CAPTURED)
def test_a_real_hello_is_read_at_its_last_byte_and_not_before(client: str) -> None:
    raw = (CORPUS / client).read_bytes()
    assert [parse_client_hello(raw[:size]) for size in range(len(raw))] == [None] * len(raw)
    assert parse_client_hello(raw) == CAPTURED[client]
    assert parse_client_hello(raw + record(b"early", kind=23)) == CAPTURED[client]


@pytest.mark.parametrize("client", ["curl", "java", "wget-gnutls"])
def test_a_real_hello_in_two_records_cut_anywhere_reads_the_same(client: str) -> None:
    whole = (CORPUS / client).read_bytes()[5:]
    for cut in range(1, len(whole)):
        raw = records(whole, cut)
        assert parse_client_hello(raw[:-1]) is None
        assert parse_client_hello(raw) == CAPTURED[client]


@pytest.mark.parametrize("client", CAPTURED)
def test_a_real_hello_whose_lengths_agree_with_its_truncation_is_refused(client: str) -> None:
    raw = (CORPUS / client).read_bytes()
    body = (raw[5:] if client != "curl-in-three-records" else (CORPUS / "curl").read_bytes()[5:])[4:]
    read = []
    for size in range(len(body)):
        try:
            read.append((size, parse_client_hello(record(b"\x01" + vector(3, body[:size])))))
        except PeerError:
            continue
    # One truncation is a hello: where the extensions, which may be missing (RFC 5246 7.4.1.2), would begin.
    assert [hello for _, hello in read] == [ClientHello(None, (), False)]


def client_hello_of(context: ssl.SSLContext, name: str | None) -> tuple[ssl.SSLObject, ssl.MemoryBIO, bytes]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing.read()


def test_this_python_is_read() -> None:
    context = ssl.create_default_context()
    context.set_alpn_protocols([H2, H1])
    _, _, raw = client_hello_of(context, "API.Example.com")
    assert parse_client_hello(raw) == ClientHello("API.Example.com", (H2, H1), False)


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (ACCESS_DENIED, "ACCESS_DENIED"),
        (UNRECOGNIZED_NAME, "UNRECOGNIZED_NAME"),
        (INTERNAL_ERROR, "INTERNAL_ERROR"),
    ],
)
def test_an_alert_tells_a_real_client_why(description: int, reason: str) -> None:
    client, incoming, _ = client_hello_of(ssl.create_default_context(), "api.example.com")
    incoming.write(render_alert(description))
    with pytest.raises(ssl.SSLError, match=reason):
        client.do_handshake()


OPENSSL = ["openssl", "s_client", "-connect", "127.0.0.1:{port}", "-servername", "api.example.com"]
CURL = ["curl", "-sS", "--connect-to", "api.example.com:443:127.0.0.1:{port}", "https://api.example.com/"]


@pytest.mark.programs
@pytest.mark.parametrize("command", [OPENSSL, CURL], ids=lambda command: str(command[0]))
def test_this_program_is_read_and_understands_the_alert(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = subprocess.Popen(
            [word.format(port=port) for word in command],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        listener.settimeout(20)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            hello, raw = None, b""
            while hello is None:
                piece = connection.recv(1)
                assert piece
                raw += piece
                hello = parse_client_hello(raw)
            connection.sendall(render_alert(ACCESS_DENIED))
        _, said = client.communicate(timeout=20)
    assert hello.server_name == "api.example.com"
    assert "alert access denied" in said


# limits


@pytest.mark.parametrize("count", [1, 2, HELLO_RECORDS])
def test_a_hello_may_fill_its_limit_in_as_many_records_as_allowed(count: int) -> None:
    raw = records(padded(HELLO_BYTES), *range(1, count))
    assert len(raw) == HELLO_BYTES + 5 * count <= RAW_BYTES
    assert parse_client_hello(raw[:-1]) is None
    hello = parse_client_hello(raw)
    assert hello is not None
    assert hello.server_name == "a.example"


def test_one_byte_over_the_limit_of_a_hello_is_refused_at_its_head() -> None:
    raw = records(padded(HELLO_BYTES + 1), HELLO_BYTES)
    with pytest.raises(PeerError, match="16385 bytes, expected at most 16384"):
        parse_client_hello(raw[:9])


def test_one_record_over_the_limit_is_refused() -> None:
    raw = records(NAMED, *range(1, HELLO_RECORDS + 1))
    with pytest.raises(PeerError, match="more than 32 records"):
        parse_client_hello(raw)


def test_a_record_of_the_largest_size_is_read_and_one_byte_more_is_refused() -> None:
    assert parse_client_hello(b"\x16\x03\x01" + HELLO_BYTES.to_bytes(2, "big")) is None
    with pytest.raises(PeerError, match="16385 bytes, expected 1 to 16384"):
        parse_client_hello(b"\x16\x03\x01" + (HELLO_BYTES + 1).to_bytes(2, "big"))


def test_a_session_id_of_33_bytes_is_refused() -> None:
    assert parse_client_hello(record(message(None, session=bytes(32)))) == ClientHello(None, (), False)
    with pytest.raises(PeerError, match="session id"):
        parse_client_hello(record(message(None, session=bytes(33))))


@pytest.mark.parametrize("size", [0, 1, 255, 256])
def test_a_server_name_has_1_to_255_bytes(size: int) -> None:
    raw = record(message(server_name(b"a" * size)))
    if size in (0, 256):
        with pytest.raises(PeerError, match="1 to 255"):
            parse_client_hello(raw)
    else:
        assert parse_client_hello(raw) == ClientHello("a" * size, (), False)


# what is refused, as early as it shows


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"GET / HTTP/1.1", "record of type 71"),
        (b"\x16\x02", "major version 2"),
        (b"\x16\x03\x01\x00\x00", "record of 0 bytes"),
        (record(NAMED)[:5] + b"\x02", "message of type 2"),
        (record(NAMED[:30]) + b"\x17", "record of type 23"),
        (record(NAMED + b"\x00"), "goes on after"),
        (record(NAMED + b"\x00")[:9], "goes on after"),
        (records(NAMED + b"\x00", 50), "goes on after"),
        (record(message(None, version=b"\x02\x00")), "unknown version"),
        (record(message(None, suites=b"")), "cipher suites of 0"),
        (record(message(None, suites=b"\x13\x01\x00")), "cipher suites of 3"),
        (record(message(None, compression=b"")), "compression"),
        (record(b"\x01" + vector(3, NAMED[4:] + b"\x00")), "1 bytes too many"),
        (record(message(server_name(b"a.example") + server_name(b"b.example"))), "extension 0 twice"),
        (record(message(extension(0x0A0A) + extension(0x0A0A))), "extension 2570 twice"),
        (record(message(extension(0))), "list is cut short"),
        (record(message(extension(0, b"\x00\x00"))), "name is cut short"),
        (record(message(server_name(b"a.example", kind=1))), "unknown type"),
        (record(message(extension(0, vector(2, (b"\x00" + vector(2, b"a.example")) * 2)))), "too many"),
        (record(message(extension(0, vector(2, b"\x00" + vector(2, b"a.example")) + b"\x00"))), "too many"),
        (record(message(server_name(b"a.example\x00.b.example"))), "letters, digits"),
        (record(message(server_name("bücher.example".encode()))), "letters, digits"),
        (record(message(server_name(b"::1"))), "letters, digits"),
        (record(message(server_name(b"a.example\n"))), "letters, digits"),
        (record(message(alpn())), "ALPN without"),
        (record(message(alpn(b"h2", b""))), "ALPN without"),
        (record(message(extension(16, vector(2, b"\x02h2") + b"\x00"))), "too many"),
        (record(message(extension(16, vector(2, b"\x03h2")))), "name is cut short"),
    ],
)
def test_bytes_that_cannot_be_a_hello_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(PeerError, match=why):
        parse_client_hello(raw)


# what is read


def test_what_is_not_ascii_in_alpn_is_escaped() -> None:
    hello = parse_client_hello(record(message(alpn(b"\x8a\x8a", b"h2"))))
    assert hello == ClientHello(None, ("\\x8a\\x8a", "h2"), False)


@pytest.mark.parametrize("kind", [0xFE0D, 0xFFCE])
def test_an_encrypted_hello_is_told(kind: int) -> None:
    hello = parse_client_hello(
        record(message(server_name(b"outer.example") + extension(kind, b"\x00sealed")))
    )
    assert hello == ClientHello("outer.example", (), True)


NAMES = st.text("abcxyzABC019-_.", min_size=1, max_size=255)
TOKENS = st.text("abcxyz/1.2-", min_size=1, max_size=255)


@settings(deadline=None)
@given(
    NAMES,
    st.lists(TOKENS, min_size=1, max_size=4),
    st.booleans(),
    st.lists(st.integers(1, 2000), max_size=31),
)
def test_what_was_written_is_read_however_it_is_cut(
    name: str, tokens: list[str], ech: bool, cuts: list[int]
) -> None:
    extensions = server_name(name.encode()) + alpn(*(token.encode() for token in tokens))
    whole = message(extensions + (extension(0xFE0D, b"\x00") if ech else b""))
    raw = records(whole, *sorted({cut for cut in cuts if cut < len(whole)}))
    assert parse_client_hello(raw) == ClientHello(name, tuple(tokens), ech)


def outcome_of(parse: Callable[[bytes], ClientHello | None], raw: bytes) -> ClientHello | str | None:
    try:
        return parse(raw)
    except PeerError:
        return "refused"


@given(st.binary(max_size=60), st.integers(0, 400), st.binary(max_size=60))
def test_further_bytes_only_ever_end_the_wait(tail: bytes, size: int, more: bytes) -> None:
    raw = record(NAMED)[:size] + tail
    earlier = outcome_of(parse_client_hello, raw)
    assert earlier is None or outcome_of(parse_client_hello, raw + more) == earlier
