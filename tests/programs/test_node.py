"""node's fetch, which looks at no proxy variable."""

from __future__ import annotations

import json

import pytest
from tests.programs.servers import Web
from tests.runs.launch import DENIAL_SECONDS, Ended, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

FETCH = """
const tell = (value) => console.log(JSON.stringify(value))
fetch(process.argv[1], { signal: AbortSignal.timeout(10000) })
  .then(async (answer) => tell([answer.status, answer.headers.get('x-trio-egress'), await answer.text()]))
  .catch((error) => { tell([0, String(error), String(error.cause)]); process.exitCode = 9 })
"""


@pytest.fixture
def policy(web: Web) -> str:
    return write_policy("api.example.com", pins=web.pins("api.example.com", "evil.example"))


def fetch(place: Place, web: Web, policy: str, url: str, *, timed: bool = False, **more: object) -> Ended:
    run = place.run_timed if timed else place.run
    environment = {"NODE_EXTRA_CA_CERTS": str(web.authority), "NODE_OPTIONS": ""}
    return run(policy, "node", "-e", FETCH, url, environment=environment, **more)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("options", [[], ["--proxy-variables"]])
def test_fetch_reaches_an_allowed_name(
    place: Place, web: Web, policy: str, scheme: str, options: list[str]
) -> None:
    ended = fetch(place, web, policy, f"{scheme}://api.example.com/hello", options=options)
    assert json.loads(ended.out) == [200, None, f"hello {scheme} api.example.com GET\n"]
    assert ended.outcome.transport == "transparent"
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fetch_of_a_denied_name_fails_at_once(place: Place, web: Web, policy: str, scheme: str) -> None:
    ended = fetch(place, web, policy, f"{scheme}://evil.example/hello", timed=True)
    assert ended.code == 9
    assert "getaddrinfo" in json.loads(ended.out)[2]
    assert ended.took < DENIAL_SECONDS
    assert {query.reason for query in ended.queries} == {"no rule allows evil.example"}
    assert web.take_requests() == []
    assert ended.verify() == 0


def test_fetch_of_a_denied_method_sees_the_rule(place: Place, web: Web) -> None:
    more = '[[egress]]\ndestination = "api.example.com"\nmethods = ["POST"]\n'
    policy = write_policy(more=more, pins=web.pins("api.example.com"))
    ended = fetch(place, web, policy, "http://api.example.com/hello", timed=True)
    status, told, body = json.loads(ended.out)
    assert (status, told) == (403, "denied")
    assert json.loads(body)["rule"] == "egress[0] api.example.com"
    assert ended.took < DENIAL_SECONDS
    assert ended.block.layer == "method"
    assert ended.verify() == 0


def test_fetch_of_a_denied_address_fails_at_once(place: Place, web: Web, policy: str) -> None:
    ended = fetch(place, web, policy, "https://203.0.113.7/", timed=True)
    assert ended.code == 9
    assert ended.took < DENIAL_SECONDS
    assert "no rule allows 203.0.113.7" in ended.block.reason
    assert ended.verify() == 0


def test_fetch_to_a_server_inside_needs_no_policy(place: Place) -> None:
    """What an agent serves itself is its own affair: loopback inside leaves no receipt."""
    script = """
    const server = require('http').createServer((_, answer) => answer.end('mine'))
    server.listen(0, '127.0.0.1', async () => {
      console.log(await (await fetch(`http://127.0.0.1:${server.address().port}/`)).text())
      process.exit(0)
    })
    """
    ended = place.run(write_policy(), "node", "-e", script)
    assert (ended.code, ended.text) == (0, "mine\n")
    assert ended.receipts == []
    assert ended.verify() == 0
