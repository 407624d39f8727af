"""WebSockets of clients that nobody here wrote, through nginx to a server that nobody here wrote, in real runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.content.vectors import make_positives
from tests.programs.autobahn import ECHO_SERVER
from tests.programs.jobs import run_job
from tests.programs.servers import Web, answers
from tests.runs.launch import ENVIRONMENT, Ended, Place, wait_until, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

HOST = "api.example.com"
SAID = "hello"

WEBSOCKETS = """
import sys
from websockets.sync.client import connect
from websockets.exceptions import ConnectionClosed
with connect(sys.argv[1], proxy=None) as ws:
    try:
        ws.send(sys.argv[2])
        print("websockets", ws.recv())
    except ConnectionClosed as ended:
        print("websockets", ended.rcvd.code, ended.rcvd.reason)
"""
TRIO = """
import sys, trio, trio_websocket
async def main(url, message):
    async with trio_websocket.open_websocket_url(url) as ws:
        await ws.send_message(message)
        print("trio-websocket", await ws.get_message())
trio.run(main, *sys.argv[1:])
"""
AIOHTTP = """
import aiohttp, asyncio, sys
async def main(url, message):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
        await ws.send_str(message)
        print("aiohttp", await ws.receive_str())
asyncio.run(main(*sys.argv[1:]))
"""
CURL = """
import os, sys
from curl_cffi import Session
with Session(verify=os.environ.get("SSL_CERT_FILE", True)) as session:
    ws = session.ws_connect(sys.argv[1])
    ws.send_str(sys.argv[2])
    print("curl", ws.recv_str())
    ws.close()
"""
NODE = """
const Socket = globalThis.WebSocket || require(process.env.WS);
const socket = new Socket(process.argv[1]);
socket.onopen = () => socket.send(process.argv[2]);
socket.onmessage = message => { console.log('node', message.data); socket.close(1000); };
socket.onclose = end => { if (end.code !== 1000) console.log('node', end.code, end.reason); };
socket.onerror = fault => { console.log('node', fault.message); };
"""
CLIENTS = {"websockets": WEBSOCKETS, "trio-websocket": TRIO, "aiohttp": AIOHTTP, "curl": CURL}
ALL = "\n".join(f'"$PYTHON" -c "${number}" "$1" "$2"' for number in range(3, 3 + len(CLIENTS)))
NAMES = [*CLIENTS, "node"]

PAGE = """<!DOCTYPE html><p id="one">nothing</p><script>
const socket = new WebSocket(`wss://${location.host}/ws`);
const said = decodeURIComponent(location.hash.slice(1));
socket.onopen = () => socket.send(said);
socket.onmessage = message => {
  if (message.data === said) {
    document.getElementById('one').textContent = 'heard ' + message.data;
    socket.send('done');
  }
};
socket.onclose = end => {
  document.getElementById('one').textContent += ' ended ' + end.code;
  document.querySelector('img').src = 'data:,';
};
</script><img src="/ws/wait">
"""
BROWSE = """
chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --no-first-run \\
  --no-default-browser-check --disable-background-networking --disable-sync --dump-dom "$1"
"""


@attrs.frozen
class Sockets:
    """A server of WebSockets behind nginx; `log` has what it was told."""

    web: Web
    log: Path


@pytest.fixture
def sockets(web: Web, servers_place: Path) -> Iterator[Sockets]:
    log = servers_place / "sockets.log"
    command = [sys.executable, "-c", ECHO_SERVER, str(web.sockets)]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, env=ENVIRONMENT) as process:
        try:
            wait_until(lambda: answers(web.sockets), "the server of WebSockets")
            yield Sockets(web, log)
        finally:
            process.terminate()


def lay_out(place: Place, web: Web, more: str) -> str:
    (place.path / "root.pem").write_bytes(web.authority.read_bytes())
    (place.path / "root.pem").chmod(0o644)
    rule = f'[[egress]]\ndestination = "{HOST}"\npaths = ["/ws", "/pages/**", "/ws/wait"]\n{more}'
    return write_policy(more=f'{rule}[tls]\nextra_ca = ["root.pem"]\n', pins=web.pins(HOST))


def find_node(place: Place) -> dict[str, str]:
    """What its WebSocket takes: it has one of its own since 20.10, by an option at first; before that, npm's `ws`."""
    option = "--experimental-websocket"
    if subprocess.run(["node", option, "-e", "0"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return {"OPTION": option}
    npm = [
        "npm",
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefix",
        str(place.work),
        "ws@8",
    ]
    subprocess.run(npm, check=True, capture_output=True, timeout=600, cwd=place.work)
    subprocess.run(["chmod", "-R", "a+rX", str(place.work)], check=True)
    return {"OPTION": "", "WS": str(place.work / "node_modules" / "ws")}


def find_websockets(ended: Ended) -> list[tuple[str, str, int, int]]:
    """The outcomes: by which door, verdict, and messages both ways."""
    return [
        (o.transport, o.verdict, o.facts["messages_up"], o.facts["messages_down"])
        for o in ended.outcomes
        if o.facts.get("websocket")
    ]


DOORS = {
    "in the clear": (f"ws://{HOST}/ws", "websocket = { enabled = true }\n", "transparent"),
    "inside TLS": (f"wss://{HOST}/ws", "websocket = { frame_scan = true }\n", "intercept"),
    "at an endpoint": (
        f"${{TRIO_EGRESS_WEBSOCKET}}wss://{HOST}/ws",
        'websocket = { frame_scan = true, proxy_path = "/open/ws?to=" }\n',
        "websocket",
    ),
}


@pytest.mark.parametrize(("url", "rule", "transport"), DOORS.values(), ids=DOORS)
def test_each_client_has_its_websocket(
    place: Place, sockets: Sockets, url: str, rule: str, transport: str
) -> None:
    script = f'set -- "{url}" "${{@:2}}"\n{ALL}\nnode $OPTION -e "$NODE" "$1" "$2"'
    environment = {"PYTHON": sys.executable, "NODE": NODE, **find_node(place)}
    policy = lay_out(place, sockets.web, rule)
    ended = run_job(place, script, url, SAID, *CLIENTS.values(), policy=policy, environment=environment)
    assert ended.code == 0, ended.err
    assert ended.text.split("\n")[:-1] == [f"{name} {SAID}" for name in NAMES]
    assert find_websockets(ended) == [(transport, "allow", 1, 1)] * len(NAMES)
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize("scanned", [True, False], ids=["looked through", "control"])
def test_a_page_in_chromium_opens_one_over_http_2(place: Place, sockets: Sockets, scanned: bool) -> None:
    """Because that is offered (RFC 8441): what is said there is looked through as anywhere."""
    folder = sockets.web.root / "pages"
    folder.mkdir(exist_ok=True)
    (folder / "socket.html").write_text(PAGE)
    word = "frame_scan" if scanned else "enabled"
    policy = lay_out(place, sockets.web, f"websocket = {{ {word} = true }}\n")
    said = make_positives("github-token", 1)[0][0]
    ended = run_job(place, BROWSE, f"https://{HOST}/pages/socket.html#{said}", policy=policy)
    (found,) = [o for o in ended.outcomes if o.facts.get("websocket")]
    assert found.facts.get("http") == "2"
    if scanned:
        assert "nothing ended 1008" in ended.text, ended.text
        assert (found.verdict, found.layer) == ("block", "scan")
        assert said not in sockets.log.read_text()
    else:
        assert f"heard {said}" in ended.text, ended.text
        assert found.facts["messages_up"] == 2
        assert said in sockets.log.read_text()
    assert ended.verify() == 0


LEAKS = [("at an endpoint", True), ("at an endpoint", False), ("inside TLS", True)]
"""The second is the control."""


@pytest.mark.parametrize(("door", "scanned"), LEAKS)
def test_a_credential_in_a_message_is_stopped(
    place: Place, sockets: Sockets, door: str, scanned: bool
) -> None:
    url, rule, _ = DOORS[door]
    token = make_positives("github-token", 1)[0][0]
    rule = rule if scanned else rule.replace("frame_scan = true", "enabled = true") + 'tls = "intercept"\n'
    script = f'"$PYTHON" -c "$3" "{url}" "$2"'
    policy = lay_out(place, sockets.web, rule)
    ended = run_job(
        place, script, url, f"see {token}", WEBSOCKETS, policy=policy, environment={"PYTHON": sys.executable}
    )
    reached = token in sockets.log.read_text()
    found = {
        (each["detector"], each["action"]) for r in ended.receipts for each in r.facts.get("findings", ())
    }
    if scanned:
        assert ended.text.startswith("websockets 1008 "), ended.text
        assert not reached
        assert ("github-token", "block") in found
        assert token not in (ended.evidence / "evidence.jsonl").read_text()
    else:
        assert ended.text == f"websockets see {token}\n"
        assert reached
        assert found == set()
    assert ended.verify() == 0


def test_a_redirect_leads_nowhere_that_is_not_allowed(place: Place, sockets: Sockets) -> None:
    policy = lay_out(place, sockets.web, 'websocket = { proxy_path = "/ws?url=" }\n')
    policy = policy.replace('"/ws/wait"', '"/ws/away"')
    script = """
        for address; do
          curl -sS -o /dev/null -w '%{http_code} %{redirect_url}\n' -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
            -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: c2l4dGVlbiBieXRlcy4uLg==' \
            "${TRIO_EGRESS_WEBSOCKET/ws:/http:}$address"
        done
    """
    ended = run_job(place, script, f"wss://{HOST}/ws/away", "wss://evil.example/ws", policy=policy)
    assert ended.text == "302 wss://evil.example/ws\n403 \n"
    assert [(b.transport, b.target, b.layer) for b in ended.blocks] == [
        ("websocket", "https://evil.example:443/ws", "default_deny")
    ]
    assert ended.verify() == 0
