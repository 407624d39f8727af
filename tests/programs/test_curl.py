"""curl by each door: what gets out, and what it looks like from inside where nothing does."""

from __future__ import annotations

import json

import pytest
from tests.programs.servers import Web
from tests.runs.launch import DENIAL_SECONDS, PROXY, Ended, Place, Receipt, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PORTS = {"http": 80, "https": 443}


@pytest.fixture
def policy(web: Web) -> str:
    """Allows one name; one that nothing allows is pinned too, so that only the policy stands before it."""
    return write_policy("api.example.com", pins=web.pins("api.example.com", "evil.example"))


def curl(web: Web, *arguments: str) -> list[str]:
    return ["curl", "-sS", "--max-time", "90", "--cacert", str(web.authority), *arguments]


def assert_denied(ended: Ended, web: Web, reason: str, layer: str = "default_deny") -> Receipt:
    """Told in time, in one receipt that says why, and the upstream saw nothing of it."""
    assert ended.took < DENIAL_SECONDS
    block = ended.block
    assert reason in block.reason
    assert block.layer == layer
    assert reason in ended.err  # the supervisor says so too, as it happens
    assert ended.outcomes == []
    assert web.take_requests() == []
    assert ended.status["denied"] >= 1
    assert ended.verify() == 0
    return block


# allowed


@pytest.mark.parametrize("scheme", PORTS)
@pytest.mark.parametrize(("family", "host"), [("-4", "127.0.0.1"), ("-6", "[::1]")])
def test_an_allowed_name_is_reached_without_any_set_up(
    place: Place, web: Web, family: str, host: str, scheme: str
) -> None:
    policy = write_policy("api.example.com", pins=web.pins("api.example.com", host=host))
    ended = place.run(policy, *curl(web, family, f"{scheme}://api.example.com/hello"))
    assert (ended.code, ended.text) == (0, f"hello {scheme} api.example.com GET\n")
    outcome = ended.outcome
    assert (outcome.verdict, outcome.transport) == ("allow", "transparent")
    assert (outcome.facts["host"], outcome.facts["port"]) == ("api.example.com", PORTS[scheme])
    assert outcome.facts["dialled"] == f"{host}:{getattr(web, scheme)}"
    assert outcome.down > len(ended.out)
    assert outcome.up > len("GET /hello HTTP/1.1")
    assert ended.blocks == []
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize("scheme", PORTS)
@pytest.mark.parametrize("proxy", [PROXY, "http://[::1]:8888"])
def test_an_allowed_name_is_reached_by_the_explicit_proxy(
    place: Place, web: Web, policy: str, proxy: str, scheme: str
) -> None:
    ended = place.run(policy, *curl(web, "-x", proxy, f"{scheme}://api.example.com/hello"))
    assert (ended.code, ended.text) == (0, f"hello {scheme} api.example.com GET\n")
    assert ended.outcome.transport == {"http": "forward", "https": "connect"}[scheme]
    assert ended.queries == []
    assert ended.verify() == 0


@pytest.mark.parametrize("scheme", PORTS)
def test_the_usual_proxy_variables_work_where_they_are_asked_for(
    place: Place, web: Web, policy: str, scheme: str
) -> None:
    command = curl(web, f"{scheme}://api.example.com/hello")
    ended = place.run(policy, *command, options=["--proxy-variables"])
    assert (ended.code, ended.text) == (0, f"hello {scheme} api.example.com GET\n")
    assert ended.outcome.transport == {"http": "forward", "https": "connect"}[scheme]
    assert ended.verify() == 0


def test_plain_http_inside_a_connect_tunnel_is_judged_by_each_request(
    place: Place, web: Web, policy: str
) -> None:
    command = curl(web, "-p", "-x", PROXY, "http://api.example.com/hello")
    ended = place.run(policy, *command)
    assert ended.text == "hello http api.example.com GET\n"
    assert (ended.outcome.transport, ended.outcome.method) == ("connect", "GET")
    assert len(web.take_requests()) == 1
    command = curl(web, "-p", "-x", PROXY, "-H", "Host: evil.example", "http://api.example.com/hello")
    assert_denied_answer(place.run_timed(policy, *command), web, "evil.example", "name_mismatch")


def test_http_2_goes_through_a_tunnel(place: Place, web: Web, policy: str) -> None:
    ended = place.run(policy, *curl(web, "-w", "%{http_version}", "https://api.example.com/hello"))
    assert ended.text.endswith("\n2")
    assert ended.outcome.facts["alpn"] == ["h2", "http/1.1"]
    assert ended.outcome.facts["sni"] == "api.example.com"
    assert ended.verify() == 0


def test_http_1_0_gets_its_answer(place: Place, web: Web, policy: str) -> None:
    ended = place.run(policy, *curl(web, "--http1.0", "-i", "http://api.example.com/hello"))
    assert ended.code == 0
    assert ended.text.endswith("\r\n\r\nhello http api.example.com GET\n")
    assert ended.outcome.facts["status"] == 200
    assert ended.verify() == 0


def test_each_request_of_a_kept_alive_connection_has_its_own_receipts(
    place: Place, web: Web, policy: str
) -> None:
    urls = [f"http://api.example.com/hello?{n}" for n in range(20)]
    ended = place.run(policy, *curl(web, "-w", "connects %{num_connects}\n", *urls))
    assert ended.text.count("hello") == 20
    assert ended.text.count("connects 1\n") == 1  # curl opened one connection …
    assert len({request["connection"] for request in web.take_requests()}) == 1  # … and so did the proxy
    outcomes = ended.outcomes
    assert [outcome.facts["status"] for outcome in outcomes] == [200] * 20
    assert len({outcome.action_id for outcome in outcomes}) == 20
    assert all(outcome.down > len("hello http api.example.com GET\n") for outcome in outcomes)
    assert ended.verify() == 0


def test_pipelined_requests_are_answered_in_order_each_with_its_receipts(
    place: Place, web: Web, policy: str
) -> None:
    requests = "".join(
        f"GET /hello?{n} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        for n, host in enumerate(["api.example.com", "evil.example", "api.example.com"])
    )
    requests += "GET /hello?last HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"
    path = place.write("requests", requests)
    ended = place.run(policy, "sh", "-c", f"nc -w 10 api.example.com 80 <{path}")
    answers = [line for line in ended.text.splitlines() if line.startswith("HTTP/1.1 ")]
    assert [answer.split()[1] for answer in answers] == ["200", "403", "200", "200"]
    assert [r["uri"] for r in web.take_requests()] == ["/hello?0", "/hello?2", "/hello?last"]
    assert len(ended.outcomes) == 3
    assert ended.block.layer == "name_mismatch"
    assert ended.verify() == 0


# denied


def assert_denied_answer(
    ended: Ended, web: Web, reason: str, layer: str = "default_deny", status: int = 403
) -> dict[str, object]:
    """Denied with an HTTP answer that says why, in words and in members."""
    assert_denied(ended, web, reason, layer)
    problem: dict[str, object] = json.loads(ended.text)
    assert (problem["status"], problem["layer"], problem["retry"]) == (status, layer, False)
    assert reason in str(problem["detail"])
    return problem


@pytest.mark.parametrize("family", ["-4", "-6"])
@pytest.mark.parametrize("scheme", PORTS)
def test_a_denied_name_is_not_even_resolved(
    place: Place, web: Web, policy: str, scheme: str, family: str
) -> None:
    ended = place.run_timed(policy, *curl(web, family, f"{scheme}://evil.example/hello"))
    assert ended.code == 6  # couldn't resolve host
    assert ended.took < DENIAL_SECONDS
    assert ended.blocks == []
    assert {query.reason for query in ended.queries} == {"no rule allows evil.example"}
    assert "denied dns:evil.example: no rule allows evil.example" in ended.err
    assert web.take_requests() == []
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_denied_name_is_refused_by_the_explicit_proxy(place: Place, web: Web, policy: str) -> None:
    ended = place.run_timed(policy, *curl(web, "-x", PROXY, "http://evil.example/hello"))
    problem = assert_denied_answer(ended, web, "no rule allows evil.example")
    assert 'destination = "evil.example"' in str(problem["remedy"])
    assert ended.block.transport == "forward"


def test_a_denied_name_is_refused_at_connect(place: Place, web: Web, policy: str) -> None:
    ended = place.run_timed(policy, *curl(web, "-x", PROXY, "https://evil.example/hello"))
    assert ended.code == 56
    assert "403" in ended.err
    assert assert_denied(ended, web, "no rule allows evil.example").transport == "connect"


GET_ONLY = '[[egress]]\ndestination = "api.example.com"\nmethods = ["GET"]\n'


def test_a_rule_with_methods_denies_the_others_and_names_itself(place: Place, web: Web) -> None:
    policy = write_policy(more=GET_ONLY, pins=web.pins("api.example.com"))
    command = curl(web, "-d", "x", "http://api.example.com/hello")
    ended = place.run_timed(policy, *command)
    problem = assert_denied_answer(ended, web, "allows GET, not POST", "method")
    assert problem["rule"] == "egress[0] api.example.com"
    assert "egress[0] 'api.example.com' (line 3)" in str(problem["detail"])
    assert ended.block.method == "POST"


def test_a_rule_with_methods_lets_them_through(place: Place, web: Web) -> None:
    policy = write_policy(more=GET_ONLY, pins=web.pins("api.example.com"))
    ended = place.run(policy, *curl(web, "http://api.example.com/hello"))
    assert (ended.code, ended.outcome.method) == (0, "GET")
    assert ended.verify() == 0


def test_head_is_not_implied_by_get(place: Place, web: Web) -> None:
    policy = write_policy(more=GET_ONLY, pins=web.pins("api.example.com"))
    ended = place.run_timed(policy, *curl(web, "-I", "http://api.example.com/hello"))
    assert ended.text.startswith("HTTP/1.1 403 ")
    assert_denied(ended, web, "allows GET, not HEAD", "method")


@pytest.mark.parametrize("door", [[], ["-x", PROXY]])
def test_a_port_that_no_rule_names_is_denied(place: Place, web: Web, policy: str, door: list[str]) -> None:
    ended = place.run_timed(policy, *curl(web, *door, "http://api.example.com:8080/hello"))
    assert ended.block.layer in ("default_deny", "rule", "protocol")
    problem = assert_denied_answer(ended, web, "8080", ended.block.layer)
    assert "api.example.com" in str(problem["detail"])


def test_a_port_that_a_rule_names_is_open(place: Place, web: Web) -> None:
    policy = write_policy("api.example.com:8080", pins={"api.example.com:8080": f"127.0.0.1:{web.http}"})
    ended = place.run(policy, *curl(web, "http://api.example.com:8080/hello"))
    assert ended.text == "hello http api.example.com:8080 GET\n"
    assert ended.outcome.facts["port"] == 8080
    assert ended.verify() == 0


def test_a_client_that_waits_for_the_server_is_denied_in_time_too(
    place: Place, web: Web, policy: str
) -> None:
    ended = place.run_timed(policy, *curl(web, "ftp://api.example.com/"))
    assert ended.code != 0
    assert "api.example.com:21" in ended.block.target
    assert_denied(ended, web, "21", ended.block.layer)


@pytest.mark.parametrize(
    "address", ["203.0.113.7", "169.254.169.254", "198.18.77.7", "[2001:db8::7]", "[fd00::1]"]
)
def test_an_address_instead_of_a_name_is_denied(place: Place, web: Web, policy: str, address: str) -> None:
    ended = place.run_timed(policy, *curl(web, f"http://{address}/latest/meta-data"))
    assert_denied_answer(ended, web, f"no rule allows {address}")


def test_tls_to_an_address_is_denied(place: Place, web: Web, policy: str) -> None:
    ended = place.run_timed(policy, *curl(web, "https://203.0.113.7/"))
    assert ended.code == 35
    assert "access denied" in ended.err.lower()
    assert_denied(ended, web, "no rule allows 203.0.113.7")


def test_a_denied_server_name_is_denied_whatever_the_address(place: Place, web: Web, policy: str) -> None:
    command = curl(web, "--resolve", "evil.example:443:203.0.113.7", "https://evil.example/hello")
    ended = place.run_timed(policy, *command)
    assert ended.code == 35
    block = assert_denied(ended, web, "no rule allows evil.example")
    assert block.facts["asked"] == "203.0.113.7:443"


def test_an_allowed_server_name_is_looked_up_and_dialled_whatever_the_address(
    place: Place, web: Web, policy: str
) -> None:
    command = curl(web, "--resolve", "api.example.com:443:203.0.113.7", "https://api.example.com/hello")
    ended = place.run(policy, *command)
    assert ended.text == "hello https api.example.com GET\n"
    assert ended.outcome.facts["dialled"] == f"127.0.0.1:{web.https}"
    assert ended.outcome.facts["asked"] == "203.0.113.7:443"
    assert ended.verify() == 0


def test_another_server_name_than_the_one_resolved_is_denied(place: Place, web: Web, policy: str) -> None:
    command = curl(web, "--connect-to", "evil.example:443:api.example.com:443", "https://evil.example/hello")
    ended = place.run_timed(policy, *command)
    assert ended.code == 35
    assert "unrecognized name" in ended.err.lower()
    block = assert_denied(ended, web, "the TLS server name is evil.example", "name_mismatch")
    assert block.facts["sni"] == "evil.example"


def test_another_server_name_than_the_one_of_the_connect_is_denied(
    place: Place, web: Web, policy: str
) -> None:
    dodge = ["-x", PROXY, "--connect-to", "evil.example:443:api.example.com:443"]
    ended = place.run_timed(policy, *curl(web, *dodge, "https://evil.example/hello"))
    assert ended.code == 35
    assert_denied(ended, web, "the TLS server name is evil.example", "name_mismatch")


@pytest.mark.parametrize("door", [[], ["-x", PROXY]])
def test_another_host_field_than_the_name_is_denied(
    place: Place, web: Web, policy: str, door: list[str]
) -> None:
    command = curl(web, *door, "-H", "Host: evil.example", "http://api.example.com/hello")
    assert_denied_answer(place.run_timed(policy, *command), web, "evil.example", "name_mismatch")


def test_an_offer_of_http_2_in_the_clear_is_answered_as_http_1(place: Place, web: Web, policy: str) -> None:
    ended = place.run(policy, *curl(web, "--http2", "-w", "%{http_version}", "http://api.example.com/hello"))
    assert ended.text == "hello http api.example.com GET\n1.1"
    assert ended.outcome.facts["status"] == 200
    assert ended.verify() == 0


def test_http_2_in_the_clear_is_denied(place: Place, web: Web, policy: str) -> None:
    ended = place.run_timed(policy, *curl(web, "--http2-prior-knowledge", "http://api.example.com/hello"))
    assert ended.code != 0
    assert ended.took < DENIAL_SECONDS
    assert ended.block.layer in ("malformed", "protocol")
    assert web.take_requests() == []
    assert ended.verify() == 0


def test_an_upgrade_that_nobody_could_inspect_is_denied(place: Place, web: Web, policy: str) -> None:
    fields = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: x",
    ]
    command = [word for field in fields for word in ("-H", field)]
    ended = place.run_timed(policy, *curl(web, *command, "http://api.example.com/hello"))
    assert_denied_answer(ended, web, "websocket", "protocol")


def test_a_redirect_leads_nowhere_that_the_policy_does_not(place: Place, web: Web, policy: str) -> None:
    ended = place.run_timed(policy, *curl(web, "-L", "http://api.example.com/away"))
    assert ended.code == 6
    assert ended.took < DENIAL_SECONDS
    assert [outcome.facts["status"] for outcome in ended.outcomes] == [302]
    assert {query.target for query in ended.queries if query.verdict == "block"} == {"dns:evil.example"}
    assert [request["uri"] for request in web.take_requests()] == ["/away"]
    assert ended.verify() == 0
