"""What a rule with `deny` is about, and what it could be about."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import OTHER, graphql, jsonrpc, make_attempt, make_request, make_rule

from trio_egress.model import ANY_METHOD, Attempt, Need, Protocol
from trio_egress.policy.denial import NEEDED, Denial, denies_requests, find_denial, is_final
from trio_egress.policy.services import FETCH, PUSH

NO, UNREAD, UNSEEN, YES = Denial.NO, Denial.UNREAD, Denial.UNSEEN, Denial.YES
HTTP, TLS, SSH, TCP = Protocol.HTTP, Protocol.TLS, Protocol.SSH, Protocol.TCP
MONDAY = 4 * 86_400 * 1_000_000


def denial(attempt: Attempt, now_us: int | None = None, **keys: Any) -> Denial:
    return find_denial(make_rule(deny=True, **keys), attempt, now_us)


@pytest.mark.parametrize("protocol", [HTTP, TLS, SSH, TCP])
@pytest.mark.parametrize("port", [22, 80, 443, 8443])
def test_without_more_everything_at_every_port_is_denied(protocol: Protocol, port: int) -> None:
    assert denial(make_attempt(protocol, port)) is YES


def test_the_answers_are_told_apart_and_the_surest_is_the_greatest() -> None:
    assert sorted(Denial) == [NO, UNREAD, UNSEEN, YES]


def test_named_ports_are_denied_and_no_other() -> None:
    assert denial(make_attempt(TCP, 22), destination="a.example:22") is YES
    assert denial(make_attempt(TCP, 23), destination="a.example:22") is NO
    assert denial(make_attempt(TCP, 8001), ports=["8000-8099"]) is YES
    assert denial(make_attempt(TCP, 7999), ports=["8000-8099"]) is NO


@pytest.mark.parametrize(
    ("protocol", "attempt", "found"),
    [
        ("tcp", make_attempt(TLS, 443), YES),
        ("http", make_attempt(HTTP), YES),
        ("http", make_attempt(HTTP, websocket=True), NO),
        ("http", make_attempt(HTTP, secure=True), NO),
        ("http", make_attempt(TLS, 443), NO),
        ("http", make_attempt(SSH, 22), NO),
        ("http", make_attempt(TCP, 80), YES),
        ("ws", make_attempt(TCP, 80), YES),
        ("ssh", make_attempt(SSH, 2222), YES),
        ("ssh", make_attempt(TCP, 22), NO),
        ("https", make_attempt(TLS, 443), UNSEEN),
        ("wss", make_attempt(TLS, 443), UNSEEN),
        (["https", "wss"], make_attempt(TLS, 443), YES),
        ("wss", make_attempt(HTTP, secure=True, websocket=True), YES),
        ("wss", make_attempt(HTTP, secure=True), NO),
    ],
)
def test_a_protocol_is_denied_where_it_is_or_could_be_spoken(
    protocol: object, attempt: Attempt, found: Denial
) -> None:
    assert denial(attempt, protocol=protocol) is found


def test_times_hold_and_without_a_clock_they_always_do() -> None:
    keys = {"times": ["Mon 00:00-24:00 UTC"]}
    assert denial(make_attempt(), MONDAY, **keys) is YES
    assert denial(make_attempt(), MONDAY - 1, **keys) is NO
    assert denial(make_attempt(), None, **keys) is YES


@pytest.mark.parametrize(
    ("attempt", "found"),
    [
        (make_attempt(TLS, 443), UNSEEN),
        (make_attempt(SSH, 22), NO),
        (make_attempt(TCP, 80), YES),
    ],
)
@pytest.mark.parametrize("keys", [{"methods": ["PUT"]}, {"paths": ["/a"]}, {"mcp": {"tools": ["x"]}}])
def test_requests_are_denied_where_they_could_be(
    keys: dict[str, Any], attempt: Attempt, found: Denial
) -> None:
    assert denial(attempt, **keys) is found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/admin", YES),
        ("/admin/x", YES),
        ("/ADMIN/x", YES),
        ("/%61dmin/x", YES),
        ("/admin%2Fx", YES),
        ("/x/../admin", YES),
        ("/x/;/y", YES),
        ("//admin", YES),
        ("/%EF%BD%81dmin/x", YES),
        ("/%EF%BC%A1DMIN", YES),
        ("/%E2%93%90dmin", YES),
        ("/admi%E2%81%BF%2Fx", YES),
        ("/%EF%BD%81dministrator", NO),
        ("/administrator", NO),
        ("/x/admin", NO),
        ("*", YES),
        (None, YES),
    ],
)
def test_a_path_is_denied_in_every_way_that_it_could_be_read(path: str | None, found: Denial) -> None:
    assert denial(make_attempt(path=path, method="GET"), paths=["/Admin/**"]) is found


@pytest.mark.parametrize("written", ["/caf%C3%A9", "/cafe%CC%81", "/%EF%BD%83afe%CC%81", "/CAFE%CC%81"])
def test_a_path_is_denied_however_it_is_composed(written: str) -> None:
    for path in ("/caf%C3%A9", "/cafe%CC%81", "/%EF%BD%83af%C3%89"):
        assert denial(make_attempt(path=path), paths=[written]) is YES
    assert denial(make_attempt(path="/cafe"), paths=[written]) is NO


def test_a_mark_behind_what_a_pattern_ends_with_changes_nothing() -> None:
    assert denial(make_attempt(path="/cafe%CC%81"), paths=["/cafe*"]) is YES


def test_a_method_is_denied_in_every_case() -> None:
    assert denial(make_request(method="delete"), methods=["DELETE"]) is YES
    assert denial(make_request(method="GET"), methods=["DELETE"]) is NO
    assert denial(make_attempt(), methods=["DELETE"]) is NO
    assert denial(make_request("/a", "DELETE"), methods=["DELETE"], paths=["/b"]) is NO


@pytest.mark.parametrize(
    ("overrides", "found"),
    [({"DELETE"}, YES), ({"GET", "DELETE"}, YES), ({ANY_METHOD}, YES), ({"PUT"}, NO), (set(), NO)],
)
def test_a_method_is_denied_that_is_asked_for_in_place_of_another(overrides: set[str], found: Denial) -> None:
    attempt = make_request(method="POST", overrides=frozenset(overrides))
    assert denial(attempt, methods=["DELETE"]) is found
    assert denial(attempt, methods=["POST"]) is YES


@pytest.mark.parametrize(
    ("attempt", "found"),
    [
        (make_request("/org/a/info/refs", service=PUSH), YES),
        (make_request("/ORG/a.git/info/refs", service=PUSH), YES),
        (make_request("/org/a/info/refs", service=FETCH), NO),
        (make_request("/org/a/info/refs", query=frozenset({"service", "x"})), YES),
        (make_request("/org/a/git-receive-pack", "POST", query=frozenset({"x"})), YES),
        (make_request("/org/a/git-receive-pack", "PUT"), YES),
        (make_request("/org/a/git-upload-pack", "POST"), NO),
        (make_request("/else/a/git-receive-pack", "POST"), NO),
        (make_request("/org/x/../a/git-receive-pack", "POST"), YES),
        (make_request("/org%2Fa/git-receive-pack", "POST"), YES),
        (make_request("/"), NO),
    ],
)
def test_what_could_be_a_push_is_denied(attempt: Attempt, found: Denial) -> None:
    assert denial(attempt, git={"push": ["Org/*"]}) is found


def test_what_could_be_a_fetch_is_denied_by_the_name_of_its_repository() -> None:
    for path in ("/org/a/git-upload-pack", "/org/a.git/git-upload-pack", "/org/a.git/info/refs"):
        assert denial(make_request(path, "POST"), git={"fetch": ["org/a"]}) is YES
    assert denial(make_request("/org/b.git/git-upload-pack", "POST"), git={"fetch": ["org/a"]}) is NO


INSIDE = (
    "/org/a/.git",
    "/org/a.git/.git",
    "/org/a.git.git",
    "/org/a/.git/.git",
    "/org/a/.git/worktrees/x",
    "/org/a.git/worktrees/x",
    "/org/a/worktrees/x",
    "/ORG/A/.GIT",
    "/org/\uff41",
    "/org/x" + ".git" * 20,
)
BESIDE = ("/org/b/.git", "/org/b.git/a", "/org/a.github", "/org/a/b", "/org/.git/a", "/org/a/worktrees/x/y")


@pytest.mark.parametrize("service", [FETCH, PUSH])
@pytest.mark.parametrize(
    ("repository", "found"), [*((path, YES) for path in INSIDE), *((path, NO) for path in BESIDE)]
)
def test_a_repository_is_denied_by_every_path_that_git_finds_it_by(
    repository: str, found: Denial, service: str
) -> None:
    git = {"fetch": ["org/a"], "push": ["org/a"]}
    assert denial(make_request(f"{repository}/{service}", "POST"), git=git) is found
    assert denial(make_request(f"{repository}/info/refs", service=service), git=git) is found
    assert denial(make_attempt(SSH, 22, path=repository, service=service), git=git) is found


def test_a_service_that_no_rule_names_is_never_denied() -> None:
    for path in ("/org/a/.git", "/org/x" + ".git" * 20):
        assert denial(make_attempt(SSH, 22, path=path, service=PUSH), git={"fetch": ["org/a"]}) is NO


def test_an_encoded_slash_in_front_of_git_is_one() -> None:
    assert denial(make_request(f"/org/a%2F.git/{FETCH}", "POST"), git={"fetch": ["org/a"]}) is YES


def test_a_repository_is_denied_by_its_look_alikes() -> None:
    assert denial(make_request(f"/org/%EF%BD%81/{FETCH}", "POST"), git={"fetch": ["org/a"]}) is YES


@pytest.mark.parametrize(
    ("keys", "calls", "found"),
    [
        ({"mcp": {"tools": ["delete_*"]}}, None, UNREAD),
        ({"mcp": {"tools": ["delete_*"]}}, (), NO),
        (
            {"mcp": {"tools": ["delete_*"]}},
            (jsonrpc("tools/call", "a"), jsonrpc("tools/call", "delete_a")),
            YES,
        ),
        ({"jsonrpc": {"methods": ["eth_send*"]}}, (jsonrpc("eth_call"), OTHER), NO),
        ({"jsonrpc": {"methods": ["eth_send*"]}}, (jsonrpc("eth_sendTransaction"),), YES),
        ({"graphql": {"mutations": ["*"]}}, (graphql("query", "a"),), NO),
        ({"graphql": {"mutations": ["*"]}}, (graphql("query", "a"), graphql("mutation", "b")), YES),
    ],
)
def test_a_call_is_denied_when_it_has_been_read(keys: dict[str, Any], calls: Any, found: Denial) -> None:
    assert denial(make_request(calls=calls), **keys) is found


def test_what_is_not_sure_is_final_only_for_who_cannot_look() -> None:
    every = frozenset(Need)
    assert is_final(YES, every)
    for unsure in (UNREAD, UNSEEN):
        assert is_final(unsure, every - NEEDED[unsure])
        assert not is_final(unsure, NEEDED[unsure])


def test_a_name_is_denied_only_where_nothing_is_left_of_the_host() -> None:
    assert make_rule(deny=True).is_about_all
    for keys in (
        {"destination": "a.example:22"},
        {"methods": ["GET"]},
        {"protocol": "ssh"},
        {"times": ["Mon 00:00-24:00 UTC"]},
    ):
        assert not make_rule(deny=True, **keys).is_about_all


def test_all_requests_are_denied_only_by_a_rule_that_asks_nothing_of_them() -> None:
    assert denies_requests(make_rule(deny=True), make_attempt(), None)
    assert not denies_requests(make_rule(deny=True, paths=["/**"]), make_attempt(), None)
    assert not denies_requests(make_rule(deny=True, protocol="ssh"), make_attempt(), None)
