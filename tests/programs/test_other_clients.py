"""Python's urllib and raw sockets, wget, and openssl, which can leave the server name out."""

from __future__ import annotations

import json
import sys

import pytest
from tests.programs.servers import Web
from tests.runs.launch import DENIAL_SECONDS, Ended, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PYTHON = [sys.executable, "-I", "-S", "-c"]


@pytest.fixture
def policy(web: Web) -> str:
    return write_policy("api.example.com", pins=web.pins("api.example.com", "evil.example"))


# Python

URLLIB = """
import json, ssl, sys, urllib.error, urllib.request
url, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
try:
    with opener.open(url, timeout=60) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, json.load(error)["layer"]]))
except urllib.error.URLError as error:
    print(json.dumps([0, str(error.reason)]))
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("options", [[], ["--proxy-variables"]])
def test_urllib_reaches_an_allowed_name(
    place: Place, web: Web, policy: str, scheme: str, options: list[str]
) -> None:
    url = f"{scheme}://api.example.com/hello"
    ended = place.run(policy, *PYTHON, URLLIB, url, web.authority, options=options)
    assert json.loads(ended.out) == [200, f"hello {scheme} api.example.com GET\n"]
    explicit = {"http": "forward", "https": "connect"}[scheme]
    assert ended.outcome.transport == (explicit if options else "transparent")
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://evil.example/", [0, "[Errno -2] Name or service not known"]),
        ("http://203.0.113.7/", [403, "default_deny"]),
        ("https://203.0.113.7/", [0, "tlsv1 alert access denied"]),
    ],
)
def test_urllib_is_denied_at_once(place: Place, web: Web, policy: str, url: str, told: list[object]) -> None:
    ended = place.run_timed(policy, *PYTHON, URLLIB, url, web.authority)
    status, text = json.loads(ended.out)
    assert status == told[0]
    assert str(told[1]) in text
    assert ended.took < DENIAL_SECONDS
    assert all(r.reason.startswith("no rule allows ") for r in (*ended.blocks, *ended.queries))
    assert web.take_requests() == []
    assert ended.verify() == 0


RAW = """
import json, socket, sys, time

def say(host, port, text):
    raw = b""
    with socket.create_connection((host, port), 10) as sock:
        sock.sendall(text.encode())
        try:
            while piece := sock.recv(65536):
                raw += piece
        except ConnectionResetError:
            raw += b"reset"
    return raw.decode("latin-1")

told = []
for attempt in json.loads(sys.argv[1]):
    started = time.monotonic()
    told.append([say(*attempt), time.monotonic() - started])
print(json.dumps(told))
"""


def say_raw(place: Place, policy: str, *attempts: tuple[str, int, str]) -> tuple[Ended, list[str]]:
    """A run of one connection after the other, and what each was told, which took less than a denial may."""
    ended = place.run(policy, *PYTHON, RAW, json.dumps(attempts))
    told = json.loads(ended.out)
    assert all(seconds < DENIAL_SECONDS for _, seconds in told)
    assert ended.verify() == 0
    return ended, [text for text, _ in told]


def test_a_raw_socket_to_an_allowed_name_is_http_like_any_other(place: Place, web: Web, policy: str) -> None:
    request = "GET /hello HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"
    ended, (told,) = say_raw(place, policy, ("api.example.com", 80, request))
    assert told.startswith("HTTP/1.1 200 OK\r\n")
    assert told.endswith("hello http api.example.com GET\n")
    assert ended.outcome.facts["status"] == 200


def test_a_raw_socket_elsewhere_is_reset_at_once(place: Place, web: Web, policy: str) -> None:
    attempts = [
        ("203.0.113.7", 4444, "a secret"),
        ("203.0.113.7", 80, "not HTTP at all\n"),
        ("203.0.113.7", 443, "not TLS at all\n"),
        ("api.example.com", 80, "not HTTP at all\n"),
        ("api.example.com", 443, "\x00\x01\x02"),
        ("api.example.com", 22, "SSH-2.0-agent\r\n"),
        ("2001:db8::7", 4444, "a secret"),
    ]
    ended, told = say_raw(place, policy, *attempts)
    assert "denied by the egress policy" in told.pop(5), "clients of SSH show what they are told"
    assert told == ["reset"] * (len(attempts) - 1)
    assert [(b.facts["host"], b.facts["port"], b.facts["proto"]) for b in ended.blocks] == [
        (host, port, "ssh" if port == 22 else "tcp") for host, port, _ in attempts
    ]
    assert ended.outcomes == []
    assert web.take_requests() == []


SMUGGLED = [
    "POST /hello HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /hello HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "GET /hello HTTP/1.1\r\nHost: api.example.com\r\nHost: evil.example\r\n\r\n",
    "GET /hello HTTP/1.1\r\nHost: api.example.com\r\n X: folded\r\n\r\n",
    "GET /hello HTTP/1.1\r\n\r\n",
    "GET http://evil.example/hello HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n",
    "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n",
    "GET /hello HTTP/3.0\r\nHost: api.example.com\r\n\r\n",
    f"GET /hello HTTP/1.1\r\nHost: api.example.com\r\nX: {'x' * 70000}\r\n\r\n",
]


def test_a_request_with_two_meanings_reaches_nobody(place: Place, web: Web, policy: str) -> None:
    ended, told = say_raw(place, policy, *[("api.example.com", 80, text) for text in SMUGGLED])
    assert {text.split()[1][0] for text in told} <= {"4", "5"}
    assert len(ended.blocks) == len(SMUGGLED)
    assert {block.layer for block in ended.blocks} <= {"malformed", "name_mismatch", "limit", "protocol"}
    assert ended.outcomes == []
    assert web.take_requests() == []


# wget


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_wget_gets_a_file(place: Place, web: Web, policy: str, scheme: str) -> None:
    url = f"{scheme}://api.example.com/hello"
    ended = place.run(policy, "wget", "-q", "-O", "-", f"--ca-certificate={web.authority}", url)
    assert (ended.code, ended.text) == (0, f"hello {scheme} api.example.com GET\n")
    assert ended.verify() == 0


@pytest.mark.parametrize(
    ("url", "code"), [("http://evil.example/", 4), ("http://203.0.113.7/", 8), ("https://203.0.113.7/", 4)]
)
def test_wget_is_denied_at_once(place: Place, web: Web, policy: str, url: str, code: int) -> None:
    ended = place.run_timed(policy, "wget", "-nv", "--tries=1", "-O", "-", url)
    assert ended.code == code
    assert ended.took < DENIAL_SECONDS
    assert all(r.reason.startswith("no rule allows ") for r in (*ended.blocks, *ended.queries))
    assert ended.verify() == 0


# openssl

S_CLIENT = 'echo | openssl s_client -CAfile "$1" -verify_return_error -brief "${@:2}" 2>&1'


def test_openssl_with_a_server_name_gets_a_tunnel(place: Place, web: Web, policy: str) -> None:
    name = "api.example.com"
    ended = place.run(
        policy, "bash", "-c", S_CLIENT, "sh", web.authority, "-connect", f"{name}:443", "-servername", name
    )
    assert "Verification: OK" in ended.text
    assert ended.outcome.facts["sni"] == name
    assert ended.verify() == 0


S_CLIENTS = """
while read -r arguments; do
  start=$EPOCHREALTIME
  echo | openssl s_client -CAfile "$1" -brief $arguments 2>&1 | grep -o "SSL alert number [0-9]*" | grep -o "[0-9]*$"
  end=$EPOCHREALTIME
  echo $((${end/./} - ${start/./}))
done <<<"$2"
"""
ALERTS = [
    ("-connect api.example.com:443 -noservername", 112, "name_mismatch"),
    ("-connect 203.0.113.7:443 -noservername", 49, "default_deny"),
    ("-connect api.example.com:443 -servername evil.example", 112, "name_mismatch"),
    ("-connect 203.0.113.7:443 -servername evil.example", 49, "default_deny"),
    ("-connect 203.0.113.7:443 -servername evil.example -tls1_2", 49, "default_deny"),
    ("-connect 203.0.113.7:443 -servername evil.example -tls1_3", 49, "default_deny"),
    ("-connect 198.18.0.0:443 -servername evil.example", 49, "default_deny"),
    ("-connect api.example.com:8443 -servername api.example.com", 49, "default_deny"),
    ("-connect api.example.com:80 -servername api.example.com", 49, "protocol"),
]


def test_openssl_is_denied_with_an_alert_in_each_version(place: Place, web: Web, policy: str) -> None:
    lines = "\n".join(arguments for arguments, _, _ in ALERTS)
    ended = place.run(policy, "bash", "-c", S_CLIENTS, "sh", web.authority, lines)
    told = list(map(int, ended.text.split()))
    assert told[::2] == [alert for _, alert, _ in ALERTS]
    assert max(told[1::2]) < DENIAL_SECONDS * 1e6
    assert [block.layer for block in ended.blocks] == [layer for _, _, layer in ALERTS]
    assert {block.facts["proto"] for block in ended.blocks} == {"tls"}
    assert ended.outcomes == []
    assert ended.verify() == 0
