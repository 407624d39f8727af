"""The normal form of a path, and the names in a query."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.paths import SLASH, find_query_names, find_query_values, parse_path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/", "/"),
        ("/a/b.c/~d/", "/a/b.c/~d/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a%20b", "/a b"),
        ("/%61%2d", "/a-"),
        ("/b%C3%BCcher", "/bücher"),
        ("/...x/.a", "/...x/.a"),
        ("/@scope%2Fname", f"/@scope{SLASH}name"),
        ("/a%2fb", f"/a{SLASH}b"),
        ("/a:b@c,d=e!$&'()*+", "/a:b@c,d=e!$&'()*+"),
    ],
)
def test_escapes_are_decoded_once(raw: str, path: str) -> None:
    assert parse_path(raw) == path


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", 'a path begins with "/"'),
        ("*", 'a path begins with "/"'),
        ("a/b", 'a path begins with "/"'),
        ("//a", "an empty segment"),
        ("/a//b", "an empty segment"),
        ("/a/%2Fb", "an empty segment"),
        ("/a%2F", "an empty segment"),
        ("/a/./b", "a dot segment"),
        ("/a/..", "a dot segment"),
        ("/%2e%2E/a", "a dot segment"),
        ("/a/.%2e/b", "a dot segment"),
        ("/a%2F..%2Fb", "a dot segment"),
        ("/a/..%20/b", "a dot segment"),
        ("/a/.../b", "a dot segment"),
        ("/a/%252e%252e/b", "an escape inside an escape"),
        ("/a/%25/b", "an escape inside an escape"),
        ("/a;b=c/d", "a semicolon"),
        ("/a/..;/b", "a semicolon"),
        ("/a%3Bb", "a semicolon"),
        ("/a\\b", "a backslash"),
        ("/a%5Cb", "a backslash"),
        ("/a%5c..%5cb", "a backslash"),
        ("/a%3Fb", "an encoded question mark"),
        ("/a#b", "a number sign"),
        ("/a%23b", "a number sign"),
        ("/a%00b", "a control character"),
        ("/a\x00b", "a control character"),
        ("/a%0d%0aX", "a control character"),
        ("/a%7F", "a control character"),
        ("/a%", "an escape that is none"),
        ("/a%4", "an escape that is none"),
        ("/a%zz", "an escape that is none"),
        ("/a%u002e", "an escape that is none"),
        ("/%C0%AE%C0%AE/a", "not UTF-8"),
        ("/%FF", "not UTF-8"),
        ("/a%EF%BC%8Fb", "some servers take for another"),
        ("/%EF%BC%8E%EF%BC%8E/a", "some servers take for another"),
        ("/%E2%80%A5/a", "some servers take for another"),
        ("/%EF%BC%BC", "some servers take for another"),
    ],
)
def test_what_can_be_read_in_two_ways_has_no_normal_form(raw: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_path(raw)


@given(st.text() | st.text(alphabet="/.%25eEfF;\\\x00a#?").map(lambda text: f"/{text}"))
def test_a_normal_form_is_found_or_refused_and_holds_nothing_ambiguous(raw: str) -> None:
    try:
        path = parse_path(raw)
    except ValueError:
        return
    assert not set(path) & set("\\;%?#")
    assert not {".", ".."} & set(path.replace(SLASH, "/").split("/"))
    assert "//" not in path.replace(SLASH, "/")


@given(st.text(alphabet="abc./~ é", max_size=12).map(lambda text: f"/{text}"))
def test_two_spellings_of_one_path_are_one(path: str) -> None:
    try:
        normal = parse_path(path)
    except ValueError:
        return
    assert parse_path(quote(path, safe="/")) == normal
    assert (
        parse_path("".join(c if c == "/" else "".join(f"%{b:02x}" for b in c.encode()) for c in path))
        == normal
    )


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ("", set()),
        ("&&", set()),
        ("a=1&b", {"a", "b"}),
        ("a=1;b=2", {"a", "b"}),
        ("a=1&a=2", {"a"}),
        ("%61=1&b+c=2", {"a", "b c"}),
        ("=1", {""}),
        ("a=b=c", {"a"}),
        ("a[b]=1", {"a[b]"}),
        ("%ff=1", {"\ufffd"}),
        ("%2561=1", {"%61"}),
    ],
)
def test_every_name_of_a_query_is_found(raw: str, names: set[str]) -> None:
    assert find_query_names(raw) == names


def test_a_directory_has_its_slash_in_whatever_script() -> None:
    assert parse_path("/%C3%A9/") == "/é/"
    assert parse_path("/.well-known/") == "/.well-known/"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("/a%5Cb", "the path has a backslash, which some servers take for a slash"),
        ("/a;b", "the path has a semicolon, after which some servers drop the rest"),
        ("/a%2525", "the path has an escape inside an escape"),
        ("/a%3Fb", "the path has an encoded question mark"),
        ("/a%23b", "the path has a number sign, after which some servers drop the rest"),
    ],
)
def test_what_is_read_in_two_ways_is_told_in_words(raw: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_path(raw)
    assert str(refused.value) == said


def test_the_values_of_a_query_are_without_their_percents_and_in_order() -> None:
    assert find_query_values("a=1&b=%20x;c&&d=e=f") == (b"1", b" x", b"c", b"e=f")
    assert find_query_values("") == ()
