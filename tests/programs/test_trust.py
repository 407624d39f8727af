"""Which clients trust the authority of a run, and by what: each asks, with nothing said to it of certificates.

The table of docs/tls.md is what is found here; `WRITE_DOCS=1` writes it there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.programs.clients import CLIENTS, JAVA
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.programs.test_git import SETTINGS, git
from tests.programs.test_pip import write_wheel
from tests.runs.launch import Ended, Place, write_policy

from trio_egress.kernel.trust import VARIABLES

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PAGE = Path(__file__).parents[2] / "docs/tls.md"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
HEAD = "| client | trusts | with the variables | without |\n|---|---|---|---|\n"
SEEN_INTO, OPAQUE = "api.example.com", "index.example.com"
URL = f"https://{SEEN_INTO}/hello"
ANSWER = f"hello https {SEEN_INTO} GET"
PATHS = 'paths = ["/hello/**", "/trust.html", "/git/**", "/npm/**", "/simple/**", "/go/**", "/grpc/**"]\n'

TOGETHER = 8
"""Clients in one run."""

WITHOUT = "env " + " ".join(f"-u {name}" for name in VARIABLES)
WAYS = {"with": (SEEN_INTO, ""), "without": (SEEN_INTO, WITHOUT), "elsewhere": (OPAQUE, WITHOUT)}
"""Where each client asks, and how: the last is the control, a server that nobody inside has a reason to trust.

Who has refused the one before is not asked again.
"""


@pytest.fixture
def policy(web: Web) -> str:
    return make_policy(web)


def make_policy(web: Web) -> str:
    more = f'[[egress]]\ndestination = "{SEEN_INTO}"\n{PATHS}[[egress]]\ndestination = "{OPAQUE}"\n'
    return write_policy(more=more, pins=web.pins(SEEN_INTO, OPAQUE))


@pytest.fixture(scope="module")
def shelf(one_web: Web) -> None:
    """What the clients ask for: a page, a wheel, a crate, a module."""
    (one_web.root / "trust.html").write_text("<p>as served")
    write_wheel(one_web.root / "simple", "trio-egress-trusted")
    versions = one_web.root / "go/example.com/sample/@v"
    versions.mkdir(parents=True)
    (versions / "list").write_text("v1.0.0\n")
    (versions / "v1.0.0.info").write_text('{"Version": "v1.0.0", "Time": "2026-01-01T00:00:00Z"}')
    (versions / "v1.0.0.mod").write_text("module example.com/sample\n")
    crate = one_web.root / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "src/lib.rs").touch()
    (crate / "Cargo.toml").write_text('[package]\nname = "sample"\nversion = "1.0.0"\n')
    git("init", "--quiet", crate)
    git("-C", crate, "add", ".")
    git("-C", crate, "commit", "--quiet", "-m", "one")
    git("clone", "--quiet", "--bare", crate, one_web.root / "git/sample.git")


@attrs.frozen
class Asked:
    """Runs in which every client asks in each of WAYS, TOGETHER of them in one, which begins when it is asked after."""

    place: Place
    web: Web
    _runs: dict[int, Ended] = attrs.field(factory=dict)

    def find_run(self, client: str) -> Ended:
        number = list(CLIENTS).index(client) // TOGETHER
        if number not in self._runs:
            clients = list(CLIENTS)[number * TOGETHER : (number + 1) * TOGETHER]
            questions = "\n".join(render_questions(self.place, one) for one in clients)
            self._runs[number] = ask(self.place, self.web, make_policy(self.web), questions)
        return self._runs[number]

    def trusts(self, client: str, way: str) -> bool:
        return "yes" in self._read(client, way, "out").split()

    def explain(self, client: str) -> str:
        return "".join(f"{client}, {way}:\n{self._read(client, way, 'err')[-700:]}\n" for way in WAYS)

    def _read(self, client: str, way: str, what: str) -> str:
        path = self.find_run(client).work / f"{find_folder(client, way)}.{what}"
        return path.read_text(errors="replace") if path.exists() or way != "elsewhere" else ""


def find_folder(client: str, way: str) -> str:
    return f"{list(CLIENTS).index(client)}-{way}"


@pytest.fixture(scope="module")
def asked(one_web: Web, shelf: None) -> Iterator[Asked]:
    place = Place()
    try:
        (place.path / "Client.java").write_text(JAVA)
        subprocess.run(["javac", "-d", place.path, place.path / "Client.java"], check=True)
        yield Asked(place, one_web)
    finally:
        place.close()


def render_questions(place: Place, client: str) -> str:
    first, second, control = (render_question(place, client, way) for way in WAYS)
    return f"{first}\n{second}\ngrep -qx yes {find_folder(client, 'without')}.out && {{ {control}; }} || true"


def render_question(place: Place, client: str, way: str) -> str:
    host, changed = WAYS[way]
    folder = find_folder(client, way)
    script = place.write(f"{folder}.sh", f"set -o pipefail\n{CLIENTS[client].command}")
    own = f"HOST={host} URL=https://{host}{CLIENTS[client].path}"
    return f"mkdir {folder}; ({own} {changed} bash -c 'cd {folder}; . {script}' >{folder}.out 2>{folder}.err) || true"


def ask(place: Place, web: Web, policy: str, script: str) -> Ended:
    environment = {
        "SSL_CERT_FILE": str(web.authority),
        "PYTHON": sys.executable,
        "CLASSES": str(place.path),
        **SETTINGS,
    }
    return run_job(place, script, policy=policy, environment=environment)


def render_table(asked: Asked) -> str:
    said = {True: "yes", False: "no"}
    rows = (
        f"| {name} | {client.trusts} | {said[asked.trusts(name, 'with')]} | {said[asked.trusts(name, 'without')]} |\n"
        for name, client in CLIENTS.items()
    )
    return HEAD + "".join(rows)


def test_the_page_names_every_variable() -> None:
    text = PAGE.read_text("utf-8")
    assert [name for name in VARIABLES if f"`{name}`" not in text] == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_trusts_the_authority_and_not_just_anybody(asked: Asked, client: str) -> None:
    assert asked.trusts(client, "with"), asked.explain(client)
    assert not asked.trusts(client, "elsewhere"), asked.explain(client)
    path = CLIENTS[client].path
    ended = asked.find_run(client)
    seen = [o for o in ended.outcomes if o.target.startswith(f"https://{SEEN_INTO}:443{path}")]
    assert seen or not path, "openssl alone asks for nothing"
    assert {outcome.transport for outcome in seen} <= {"intercept"}
    assert {outcome.facts["dialled"] for outcome in seen} <= {f"127.0.0.1:{asked.web.https}"}
    assert ended.code == 0


def test_what_the_clients_asked_for_can_be_verified(asked: Asked) -> None:
    runs = {ended.evidence: ended for ended in map(asked.find_run, CLIENTS)}
    assert [ended.verify() for ended in runs.values()] == [0] * len(runs)
    assert [ended.verify_foreign() for ended in runs.values()] == [0] * len(runs)


def test_the_page_says_what_was_found(asked: Asked) -> None:
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(HEAD)
    after = rest[rest.index("\n\n") + 1 :]
    found = before + render_table(asked) + after
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(found, "utf-8")
    reasons = "\n".join(map(asked.explain, CLIENTS))
    assert PAGE.read_text("utf-8") == found, f"run this test with WRITE_DOCS=1 to write it.\n{reasons}"


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


BOTH = f"""
for (const host of ['{SEEN_INTO}', '{OPAQUE}'])
  fetch(`https://${{host}}/hello/node`).then(r => r.text()).then(t => console.log(t.trim()))
"""


def test_what_the_caller_had_a_program_trust_stays_trusted(place: Place, web: Web, policy: str) -> None:
    """A company's root in NODE_EXTRA_CA_CERTS, and a tunnel to a server of the company's."""
    environment = {"SSL_CERT_FILE": str(web.authority), "NODE_EXTRA_CA_CERTS": str(web.authority)}
    ended = run_job(place, 'node -e "$1"', BOTH, policy=policy, environment=environment)
    assert sorted(ended.text.splitlines()) == [f"hello https {host} GET" for host in (SEEN_INTO, OPAQUE)]
    assert {outcome.facts.get("tls") for outcome in ended.outcomes if outcome.transport == "transparent"} == {
        "intercepted",
        "opaque",
    }


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
