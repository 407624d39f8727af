"""Roots that a policy adds, in real runs: who is known by them, outside and inside, and that a reviewer sees which."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import AGENT, ENVIRONMENT, Place, wait_until, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

URL = "https://api.example.com/hello"
ANSWER = "hello https api.example.com GET"
SEEN_INSIDE = '[[egress]]\ndestination = "api.example.com"\npaths = ["/hello"]\n'
OPAQUE = '[[egress]]\ndestination = "api.example.com"\n'
PYTHON = f"import urllib.request; print(urllib.request.urlopen('{URL}').read().decode())"
TLS = '[tls]\nextra_ca = ["root.pem"]\n'


def lay_out(place: Place, web: Web) -> None:
    """The root beside the policy."""
    shutil.copy(web.authority, place.path / "root.pem")
    os.chmod(place.path / "root.pem", 0o644)


@pytest.mark.parametrize(("rule", "tls"), [(SEEN_INSIDE, "intercepted"), (OPAQUE, "opaque")])
def test_a_host_of_the_company_is_known_outside_and_inside(
    place: Place, web: Web, rule: str, tls: str
) -> None:
    """Without variables, too: by the bundle (curl) and by the directory (Python's ssl)."""
    lay_out(place, web)
    policy = write_policy(more=rule + TLS, pins=web.pins("api.example.com"))
    unset = "env -u SSL_CERT_FILE -u CURL_CA_BUNDLE"
    script = f'curl -sS {URL}; {unset} curl -sS {URL}; {unset} python3 -c "{PYTHON}"'
    ended = run_job(place, script, policy=policy)
    assert [line for line in ended.text.splitlines() if line] == [ANSWER] * 3
    tunnels = [outcome for outcome in ended.outcomes if outcome.transport == "transparent"]
    assert {outcome.facts["tls"] for outcome in tunnels} == {tls}
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
    (packaged,) = json.loads((ended.evidence / "policy-includes.json").read_bytes())["includes"]
    raw = web.authority.read_bytes()
    assert (packaged["name"], packaged["text"]) == ("root.pem", raw.decode())
    compiled = json.loads((ended.evidence / "policy-compiled.json").read_bytes())
    assert compiled["tls"] == {"extra_ca": [{"file": "root.pem", "sha256": hashlib.sha256(raw).hexdigest()}]}


@pytest.mark.parametrize("rule", [SEEN_INSIDE, OPAQUE])
def test_without_the_table_nobody_knows_it(place: Place, web: Web, rule: str) -> None:
    """The control."""
    policy = write_policy(more=rule, pins=web.pins("api.example.com"))
    ended = run_job(place, f"curl -s {URL} || true", policy=policy)
    assert ANSWER not in ended.text
    assert web.take_requests() == []


def test_a_root_that_is_none_ends_the_run_before_it_begins(place: Place, web: Web) -> None:
    lay_out(place, web)
    damaged = "-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----\n"
    for text, said in ((None, ': error: cannot read "root.pem"'), (damaged, "certificate 1 can't be read")):
        if text is None:
            (place.path / "root.pem").unlink()
        else:
            (place.path / "root.pem").write_text(text)
        ended = run_job(place, "echo ran", policy=write_policy(more=TLS))
        assert ended.code == 125
        assert said in ended.err
        assert "ran" not in ended.text


def test_the_agent_can_write_none_and_no_reload_changes_them(place: Place, web: Web) -> None:
    lay_out(place, web)
    shutil.copy(web.authority, place.work / "root.pem")
    policy = f"{write_policy(more=OPAQUE)}\n[tls]\nextra_ca = "
    path = place.work / "agent.toml"
    path.write_text(f'{policy}["root.pem"]\n')
    for name in ("root.pem", "agent.toml"):
        os.chown(place.work / name, AGENT.pw_uid, AGENT.pw_gid)
    script = "echo >>root.pem || true; touch ready; until [ -e go ]; do sleep 0.02; done"
    started = place.start("", "bash", "-c", script, options=("--policy", str(path)))
    wait_until((place.work / "ready").exists, "an agent that has tried")
    path.write_text(f"{policy}[]\n")
    command = [sys.executable, "-m", "trio_egress", "policy", "reload", str(started.evidence)]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1, ran.stdout
    assert "[tls] can't change during a run" in ran.stderr
    (place.work / "go").touch()
    ended = started.wait()
    assert "Read-only file system" in ended.err
    assert (place.work / "root.pem").read_bytes() == web.authority.read_bytes()
    assert ended.verify() == 0
