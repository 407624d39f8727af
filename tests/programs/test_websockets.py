"""A real client inside, a real server outside (Python's `websockets`, with compression), over TLS and in the clear."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trustme
from tests.content.vectors import make_positives
from tests.programs.servers import answers, find_ports, start_server
from tests.runs.launch import Ended, Place, wait_until, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

HOST = "realtime.example.com"
SERVER = """
import ssl, sys
from websockets.sync.server import serve
def echo(connection):
    for message in connection:
        print(len(message), connection.protocol.extensions, flush=True)
        connection.send(message)
context = None
if sys.argv[2:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
with serve(echo, "127.0.0.1", int(sys.argv[1]), ssl=context, max_size=None) as server:
    server.serve_forever()
"""
CLIENT = """
import json, sys
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
told = []
with connect(sys.argv[1], subprotocols=None, max_size=None, origin="https://app.example.com") as connection:
    told.append([each.name for each in connection.protocol.extensions])
    try:
        for number in range(3):
            connection.send("hello %d " % number * 100)
            told.append(connection.recv()[:7])
        connection.send(iter(["frag", "ments ", "h\u00ebre"]))
        told.append(connection.recv())
        connection.send(bytes(range(256)) * 4096)
        told.append(len(connection.recv()))
        connection.ping("still there").wait()
        connection.send("see " + sys.argv[2])
        told.append(connection.recv()[:4])
    except ConnectionClosed as closed:
        told += [closed.rcvd.code, closed.rcvd.reason]
print(json.dumps(told))
"""


@attrs.frozen
class Server:
    clear: int
    secure: int
    root: Path

    @property
    def pins(self) -> dict[str, str]:
        ports = {80: self.clear, 443: self.secure}
        return {f"{HOST}:{usual}": f"127.0.0.1:{port}" for usual, port in ports.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("websockets")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place / "root.pem"))
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(place / "cert.pem"))
    clear, secure = find_ports(2)
    command = [sys.executable, "-c", SERVER]
    with (
        start_server([*command, str(clear)], place / "clear.log"),
        start_server([*command, str(secure), place / "cert.pem"], place / "secure.log"),
    ):
        wait_until(lambda: answers(clear) and answers(secure), "the servers")
        yield Server(clear, secure, place / "root.pem")


def talk(place: Place, server: Server, scheme: str, table: str, said: str) -> Ended:
    (place.path / "root.pem").write_bytes(server.root.read_bytes())
    (place.path / "root.pem").chmod(0o644)
    rule = f'[[egress]]\ndestination = "{HOST}"\nwebsocket = {{ {table} }}\n[tls]\nextra_ca = ["root.pem"]\n'
    place.write("client.py", CLIENT)
    policy = write_policy(more=rule, pins=server.pins)
    return place.run(policy, sys.executable, "-I", place.path / "client.py", f"{scheme}://{HOST}/", said)


def test_a_conversation_goes_on_until_a_secret_is_said(place: Place, server: Server) -> None:
    token = make_positives("github-token", 1)[0][0]
    ended = talk(place, server, "wss", 'frame_scan = true, origins = ["https://app.example.com"]', token)
    assert ended.code == 0, ended.err
    *went, code, reason = json.loads(ended.out)
    assert went == [["permessage-deflate"], "hello 0", "hello 1", "hello 2", "fragments hëre", 1 << 20]
    assert code == 1008
    assert "github-token was found in its message" in reason
    outcome = next(each for each in ended.receipts if each.phase == "outcome" and "messages_up" in each.facts)
    assert (outcome.verdict, outcome.layer) == ("block", "scan")
    facts = outcome.facts
    assert (facts["messages_up"], facts["messages_down"], facts["compressed"]) == (5, 5, True)
    assert facts["message_bytes_up"] == facts["message_bytes_down"] == 3 * 800 + 15 + (1 << 20)
    assert facts["frames_up"] >= 5 + 2 + 1
    found = [each for each in ended.receipts if "findings" in each.facts]
    assert [each.facts["findings"][0]["place"] for each in found] == ["message"]
    for path in ended.evidence.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes()
    posture = json.loads((ended.evidence / "packet.json").read_text())["posture"]
    assert posture["websocket_frame_scanning"] == "always_on"
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_control_without_a_scan_it_is_said_and_answered(place: Place, server: Server) -> None:
    token = make_positives("github-token", 1)[0][0]
    ended = talk(place, server, "ws", 'message = "2 MiB"', token)
    assert json.loads(ended.out)[-1] == "see ", ended.err
    (outcome,) = (each for each in ended.receipts if each.phase == "outcome" and "messages_up" in each.facts)
    assert outcome.verdict == "allow"
    assert (outcome.facts["close_up"], outcome.facts["close_down"]) == (1000, 1000)
    posture = json.loads((ended.evidence / "packet.json").read_text())["posture"]
    assert posture["websocket_frame_scanning"] == "off"
    assert ended.verify() == 0
