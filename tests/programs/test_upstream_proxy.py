"""Everything goes out by a company's proxy, in real runs: squid, with a password, in front of nginx."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.company import PASSWORD, USER, Company, open_company
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import AGENT, ENVIRONMENT, Ended, Place, wait_until, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

VARIABLE = 'password = { env = "PROXY_PASSWORD" }\n'
FORMS = (
    PASSWORD.encode(),
    base64.b64encode(f"{USER}:{PASSWORD}".encode()),
    base64.b64encode(PASSWORD.encode()),
)


@pytest.fixture(scope="module")
def one_company(servers_place: Path, one_web: Web) -> Iterator[Company]:
    with open_company(servers_place / "company", one_web.http, one_web.https) as company:
        yield company


@pytest.fixture
def company(one_company: Company) -> Company:
    one_company.take_requests()
    return one_company


def write(web: Web, table: str, more: str = "") -> str:
    rules = "".join(
        f'[[egress]]\ndestination = "{host}"\nports = [{web.http}, {web.https}]\n{more}'
        for host in ("api.example.com", "evil.example")
    )
    return write_policy(more=rules + table)


def run(place: Place, web: Web, policy: str, script: str, password: str = PASSWORD) -> Ended:
    environment = {"PROXY_PASSWORD": password, "SSL_CERT_FILE": str(web.authority)}
    return run_job(place, script, policy=policy, environment=environment)


def has_credentials(ended: Ended) -> list[str]:
    """Files of the evidence, and what was said, that have them in any form."""
    files = {path.name: path.read_bytes() for path in ended.evidence.iterdir()}
    said = {"stdout": ended.out, "stderr": ended.err.encode(), "status": ended.status_file.read_bytes()}
    return [name for name, raw in (files | said).items() if any(form in raw for form in FORMS)]


@pytest.mark.parametrize(("more", "tls"), [('paths = ["/hello"]\n', "intercepted"), ("", "opaque")])
def test_tls_goes_by_the_proxy_and_nobody_else_has_the_password(
    place: Place, web: Web, company: Company, more: str, tls: str
) -> None:
    url = f"https://api.example.com:{web.https}/hello"
    ended = run(place, web, write(web, company.table(VARIABLE), more), f"curl -sS {url}; env")
    assert ended.text.startswith(f"hello https api.example.com:{web.https} GET\n")
    assert company.take_requests(1) == [f"200 {USER} CONNECT api.example.com:{web.https}"]
    assert len(web.take_requests()) == 1
    by = f"127.0.0.1:{company.port}"
    dialled = [outcome.facts for outcome in ended.outcomes if "dialled" in outcome.facts]
    assert [(facts["via"], facts["dialled"]) for facts in dialled] == [(by, by)]
    tunnel = next(outcome for outcome in ended.outcomes if outcome.transport == "transparent")
    assert tunnel.facts["tls"] == tls
    assert "PROXY_PASSWORD" not in ended.text
    assert has_credentials(ended) == []
    assert f"everything goes out by the proxy http://{by}" in ended.err
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_request_in_the_clear_goes_by_the_proxy(place: Place, web: Web, company: Company) -> None:
    """Which asks for a password, and opens no tunnel to that port; the other host it refuses itself."""
    urls = [f"http://{host}:{web.http}/hello" for host in ("api.example.com", "evil.example")]
    script = f"curl -sS {urls[0]} {urls[0]}; curl -s {urls[1]} -o answer -w '%{{http_code}}'"
    ended = run(place, web, write(web, company.table(VARIABLE)), script)
    assert ended.text == f"hello http api.example.com:{web.http} GET\n" * 2 + "403"
    asked = [f"200 {USER} GET {urls[0]}"] * 2 + [f"403 - GET {urls[1]}"]
    assert company.take_requests(3) == asked
    assert [outcome.facts["status"] for outcome in ended.outcomes] == [200, 200, 403]
    assert {outcome.facts["via"] for outcome in ended.outcomes} == {f"127.0.0.1:{company.port}"}
    assert has_credentials(ended) == []
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_password_in_a_file_is_out_of_the_agents_sight(place: Place, web: Web, company: Company) -> None:
    secret = place.work / "proxy-password"
    secret.write_text(f"{PASSWORD}\n")
    os.chown(secret, AGENT.pw_uid, AGENT.pw_gid)
    script = f"curl -sS https://api.example.com:{web.https}/hello; cat proxy-password || true"
    ended = run(place, web, write(web, company.table('password = { file = "proxy-password" }\n')), script)
    assert ended.text.splitlines()[0] == f"hello https api.example.com:{web.https} GET"
    assert has_credentials(ended) == []


def test_what_the_proxy_refuses_is_told_as_its_doing(place: Place, web: Web, company: Company) -> None:
    """Another host than it allows, a port, and a password: none of them a denial of the policy's."""
    script = f"curl -sS https://evil.example:{web.https}/hello || echo failed $?"
    ended = run(place, web, write(web, company.table(VARIABLE)), script)
    assert "failed 35" in ended.text
    outcome = ended.outcome
    by = f"127.0.0.1:{company.port}"
    refused = f"the upstream proxy {by} refused evil.example:{web.https}: 403 Forbidden"
    assert (outcome.verdict, outcome.facts["reason"]) == ("allow", refused)
    assert (outcome.facts["origin"], outcome.facts["via"]) == ("upstream_proxy", by)
    assert ended.verify() == 0
    script = script.replace("evil.example", "api.example.com")
    wrong = run(place, web, write(web, company.table(VARIABLE)), script, password="not the one")
    assert wrong.outcome.facts["reason"].endswith(
        "407 Proxy Authentication Required (it takes no such username and password)"
    )
    assert web.take_requests() == []


def test_the_agent_reaches_the_proxy_itself_only_where_a_rule_opens_it(
    place: Place, web: Web, company: Company
) -> None:
    """The control: with the rule it does, and squid has a word for it."""
    at = f"host.internal:{company.port}"
    script = f"curl -s http://{at}/ -o answer -w '%{{http_code}}' || true"
    rule = f'[[egress]]\ndestination = "{at}"\n'
    denied = run(place, web, write(web, company.table(VARIABLE)), script)
    assert company.take_requests() == []
    assert denied.blocks or denied.queries
    opened = run(place, web, write(web, company.table(VARIABLE) + rule), script)
    assert (denied.text, opened.text) == ("000", "400")
    assert [line.split()[0] for line in company.take_requests(1)] == ["400"]


def test_the_password_must_be_there_and_nowhere_in_the_policy(
    place: Place, web: Web, company: Company
) -> None:
    for password, more, said in (
        ("short", "", "the secret upstream-password: the variable PROXY_PASSWORD has fewer than 8 bytes"),
        (PASSWORD, f"# {PASSWORD}\n", "the secret upstream-password: its value stands in policy-"),
    ):
        policy = write(web, company.table(VARIABLE)) + more
        ended = run(place, web, policy, "echo ran", password=password)
        assert (ended.code, ended.text) == (125, "")
        assert said in ended.err
        assert PASSWORD not in ended.err


def test_no_reload_leads_elsewhere(place: Place, web: Web, company: Company) -> None:
    """And one that leads nowhere else goes by it as before, with the password that was read when the run began."""
    policy = write(web, company.table(VARIABLE))
    ask = f"curl -sS http://api.example.com:{web.http}/hello"
    script = f"touch ready; until [ -e go ]; do sleep 0.02; done; {ask}"
    started = place.start(policy, "bash", "-c", script, environment={"PROXY_PASSWORD": PASSWORD})
    wait_until((place.work / "ready").exists, "the agent")
    file = place.path / "policy-0.toml"
    command = [sys.executable, "-m", "trio_egress", "policy", "reload", str(started.evidence)]
    for text, code in ((write(web, ""), 1), (f"{policy}# the same\n", 0)):
        file.write_text(text)
        ran = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == code, ran.stderr
        assert ("[upstream] can't change during a run" in ran.stderr) == bool(code)
    (place.work / "go").touch()
    ended = started.wait()
    assert ended.text == f"hello http api.example.com:{web.http} GET\n"
    assert len(company.take_requests(1)) == 1
    assert ended.verify() == 0


def test_a_proxy_of_the_callers_environment_is_not_used_and_that_is_said(place: Place, web: Web) -> None:
    policy = write_policy("api.example.com", pins=web.pins("api.example.com"))
    environment = {"HTTPS_PROXY": "http://ci:hunter22@127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    ended = run_job(place, "curl -sS http://api.example.com/hello", policy=policy, environment=environment)
    assert ended.text == "hello http api.example.com GET\n"
    assert "not used: HTTPS_PROXY, http_proxy; a proxy to go out by is for the policy to name" in ended.err
    assert "hunter22" not in ended.err
