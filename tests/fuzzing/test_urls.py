"""URLs, their spellings, and the attempt that is made of one."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PeerError
from trio_egress.fuzzing.hosts import Choices
from trio_egress.fuzzing.urls import Url, paths, read_url, spell_url, spellings_of_url, urls
from trio_egress.model import Attempt, Name, Protocol, Transport


@given(urls(), st.data())
def test_every_spelling_is_read_as_the_url_that_was_spelt(url: Url, data: st.DataObject) -> None:
    spelt = data.draw(spellings_of_url(url))
    attempt = read_url(spelt)
    assert (attempt.host, attempt.port) == (url.host, url.port)
    assert attempt.protocol is {"http": Protocol.HTTP, "https": Protocol.TLS}[url.scheme]
    assert attrs.evolve(attempt, path=None) == attrs.evolve(read_url(str(url)), path=None)


def test_a_url_is_spelt_in_many_ways() -> None:
    url = Url("http", IPv4Address("127.0.0.1"), 80, "/a-b")
    spelt = {spell_url(url, Choices(number * 7919)) for number in range(20_000)}
    assert len(spelt) > 1000
    assert any(text.startswith("HTTP://") for text in spelt)
    assert any(":/" in text.partition("://")[2] for text in spelt)
    assert any("%2D" in text for text in spelt)


def test_the_text_of_a_url_is_its_normal_form() -> None:
    assert str(Url("https", Name("a.example"), 443, "/x")) == "https://a.example/x"
    assert str(Url("http", Name("a.example"), 443)) == "http://a.example:443/"


@given(paths())
def test_a_path_has_no_dot_segments_and_no_empty_ones(path: str) -> None:
    assert path.startswith("/")
    assert not {"", ".", ".."} & set(path[1:].split("/")[:-1])


def test_an_http_url_is_a_request_and_an_https_url_a_tunnel() -> None:
    assert read_url("http://A.example/x?y#z", "POST") == Attempt(
        Transport.FORWARD, Protocol.HTTP, Name("a.example"), 80, "POST", "/x"
    )
    assert read_url("https://a.example") == Attempt(Transport.CONNECT, Protocol.TLS, Name("a.example"), 443)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "/x",
        "a.example",
        "ftp://a.example/",
        "http://",
        "http://u@a.example/",
        "http://a.example:0/",
        "http://a example/",
        "http://a.example/\r\nHost: b.example",
        "http://ü.example/",
        "http://a.example\\@b.example/",
        "http://0x/",
    ],
)
def test_what_is_no_url_on_the_wire_is_refused(raw: str) -> None:
    with pytest.raises((PeerError, ValueError)):
        read_url(raw)


@given(st.text() | st.text("htp:/@[]%\\.?#0x1a").map("http://{}".format))
def test_any_text_is_an_attempt_or_refused(raw: str) -> None:
    try:
        attempt = read_url(raw)
    except (PeerError, ValueError):
        return
    assert 0 < attempt.port < 65536
