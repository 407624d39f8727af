"""The demo's upstreams, asked directly: they serve, they show their certificate, they count, they end."""

from __future__ import annotations

import socket
import ssl
import urllib.request
from pathlib import Path

import pytest

from trio_egress.demo.upstreams import API, Upstreams, open_upstreams


def ask_over_tls(upstreams: Upstreams, name: str) -> bytes:
    trust = ssl.create_default_context(cadata=upstreams.certificate)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 has it by default
    with (
        socket.create_connection(("127.0.0.1", upstreams.https_port), timeout=60) as connection,
        trust.wrap_socket(connection, server_hostname=name) as tls,
    ):
        tls.sendall(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode("ascii"))
        return tls.makefile("rb").readline()


def test_both_upstreams_answer_and_note_what_reached_them(tmp_path: Path) -> None:
    with open_upstreams(tmp_path) as upstreams:
        assert ask_over_tls(upstreams, API) == b"HTTP/1.0 200 OK\r\n"
        url = f"http://127.0.0.1:{upstreams.http_port}/x"
        with urllib.request.urlopen(url, data=b"a=1", timeout=60) as answer:
            assert answer.status == 200
        assert upstreams.reached == [f"GET {API}/", f"POST 127.0.0.1:{upstreams.http_port}/x"]


def test_certificate_is_for_one_name(tmp_path: Path) -> None:
    with open_upstreams(tmp_path) as upstreams, pytest.raises(ssl.SSLCertVerificationError):
        ask_over_tls(upstreams, "docs.example.com")


def test_client_that_never_ends_its_handshake_keeps_nobody_waiting(tmp_path: Path) -> None:
    with (
        open_upstreams(tmp_path) as upstreams,
        socket.create_connection(("127.0.0.1", upstreams.https_port)),
    ):
        assert ask_over_tls(upstreams, API) == b"HTTP/1.0 200 OK\r\n"


def test_nothing_listens_afterwards_and_the_key_was_private(tmp_path: Path) -> None:
    with open_upstreams(tmp_path) as upstreams:
        assert (tmp_path / "tls.pem").stat().st_mode & 0o777 == 0o600
    for port in (upstreams.http_port, upstreams.https_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=60)
