"""Which clients trust the authority of a run, and by what: each asks, with nothing said to it of certificates.

Every row of the table in docs/tls.md is tried here, with the variables that the run sets and without them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import Ended, Place, write_policy

from trio_egress.kernel.trust import VARIABLES

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PAGE = (Path(__file__).parents[2] / "docs/tls.md").read_text("utf-8")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
URL = "https://api.example.com/hello"
ANSWER = "hello https api.example.com GET"
PATHS = 'paths = ["/hello", "/trust.html", "/git/**", "/npm/**"]\n'

NODE = f"fetch('{URL}').then(r => r.text()).then(console.log)"
URLLIB = f"import urllib.request; print(urllib.request.urlopen('{URL}').read().decode())"
JAVA = """
import java.net.URI;
import java.net.http.*;
public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
        System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""
BROWSE = """
chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile-$RANDOM" --no-first-run \\
  --disable-background-networking --dump-dom https://api.example.com/trust.html
"""

CLIENTS = {
    "curl": f"curl -sS {URL}",
    "wget": f"wget -qO- {URL}",
    "openssl s_client": "openssl s_client -brief -verify_return_error -connect api.example.com:443 "
    f"-servername api.example.com </dev/null 2>&1 && echo '{ANSWER}'",
    "git": "git ls-remote https://api.example.com/git/none 2>&1 | tee /dev/stderr | "
    f"grep -q 'not found' && echo '{ANSWER}'",
    "Python's ssl (urllib)": f'python3 -c "{URLLIB}"',
    "node (fetch)": f'node -e "{NODE}"',
    "npm": "npm view --registry https://api.example.com/npm/ none 2>&1 | tee /dev/stderr | "
    f"grep -q E404 && echo '{ANSWER}'",
    "Java (java.net.http)": f"java {{place}}/Client.java {URL}",
    "Chromium": BROWSE,
}
"""By their row: what asks for URL, or, in a protocol of its own, for something that is not there."""

WITHOUT = "env " + " ".join(f"-u {name}" for name in VARIABLES)


def rows() -> Mapping[str, tuple[str, str]]:
    """With the variables, and without: `yes` or `no`."""
    table = PAGE.partition("| client |")[2].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in table]
    return {client: (first, second) for client, _, first, second in cells}


@pytest.fixture
def policy(web: Web) -> str:
    (web.root / "trust.html").write_text(f"<p>{ANSWER}")
    more = f'[[egress]]\ndestination = "api.example.com"\n{PATHS}'
    return write_policy(more=more, pins=web.pins("api.example.com", "evil.example"))


def ask(place: Place, web: Web, policy: str, script: str) -> Ended:
    # A machine may have told npm of the bundle; here it is as it comes.
    plain = {"NPM_CONFIG_GLOBALCONFIG": "/dev/null", "NPM_CONFIG_USERCONFIG": "/dev/empty"}
    environment = {"SSL_CERT_FILE": str(web.authority), "GIT_TERMINAL_PROMPT": "0", **plain}
    return run_job(place, script, policy=policy, environment=environment)


def test_every_client_of_the_page_is_tried() -> None:
    assert set(rows()) == set(CLIENTS)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_trusts_what_the_page_says(place: Place, web: Web, policy: str, client: str) -> None:
    place.write("Client.java", JAVA)
    command = CLIENTS[client].replace("{place}", str(place.path))
    inside = place.write("ask.sh", command)
    script = f"bash {inside} >with 2>with.err || true; {WITHOUT} bash {inside} >without 2>without.err || true"
    ended = ask(place, web, policy, script)
    told = {name: ANSWER in (place.work / name).read_text() for name in ("with", "without")}
    found = tuple("yes" if told[name] else "no" for name in ("with", "without"))
    assert found == rows()[client], [(place.work / f"{name}.err").read_text() for name in told]
    asked = [outcome for outcome in ended.outcomes if outcome.transport == "intercept"]
    assert bool(asked) == (client != "openssl s_client"), "it asks for nothing"
    assert {outcome.facts["dialled"] for outcome in asked} <= {f"127.0.0.1:{web.https}"}
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_without_a_rule_that_looks_inside_nothing_is_added(place: Place, web: Web) -> None:
    policy = write_policy("api.example.com", pins=web.pins("api.example.com"))
    script = f"curl -sS --cacert {web.authority} {URL}; env; ls /run/trio-egress; grep -c BEGIN {BUNDLE}"
    ended = run_job(place, script, policy=policy)
    assert ANSWER in ended.text
    assert "ca-bundle" not in ended.text
    assert ended.text.splitlines()[-1] == str(BUNDLE.read_text().count("BEGIN"))
    assert ended.outcome.facts["tls"] == "opaque"


def test_what_was_trusted_stays_trusted(place: Place, web: Web, policy: str) -> None:
    """The machine's own roots are in the bundle and in the directory, and one more."""
    script = f"grep -c BEGIN {BUNDLE}; ls /etc/ssl/certs | sort"
    outside = sorted(path.name for path in Path("/etc/ssl/certs").iterdir())
    count, *inside = run_job(place, script, policy=policy).text.splitlines()
    assert int(count) == BUNDLE.read_text().count("BEGIN") + 1
    (added,) = set(inside) - set(outside)
    assert set(outside) <= set(inside)
    assert re.fullmatch(r"[0-9a-f]{8}\.0", added)


def test_the_authority_vouches_for_nobody_else(place: Place, web: Web, policy: str) -> None:
    """Its certificate says so to whoever verifies, and openssl obeys: the control is the host that it is for."""
    script = "openssl x509 -in /run/trio-egress/ca.pem -noout -ext nameConstraints,basicConstraints,keyUsage"
    ended = run_job(place, script, policy=policy)
    assert "Permitted:\n      DNS:api.example.com" in ended.text
    assert "Excluded:\n      IP:0.0.0.0/0.0.0.0" in ended.text
    assert "CA:TRUE, pathlen:0" in ended.text


SEARCH = """
grep -rl 'PRIVATE KEY' /run /tmp /etc/ssl . 2>/dev/null || true
"""


def test_its_key_is_nowhere_inside(place: Place, web: Web, policy: str) -> None:
    ended = run_job(
        place, f"curl -sS {URL}; {SEARCH}", policy=policy, environment={"SSL_CERT_FILE": str(web.authority)}
    )
    assert ended.text.splitlines()[0] == ANSWER
    assert [line for line in ended.text.splitlines()[1:] if "/etc/ssl" not in line] == []
