"""MCP servers in the sandbox: what goes by between them and their clients, how they end, and what is recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.runs.launch import ENVIRONMENT, POLICY_HEAD, Ended, Place, find_processes, ours, wait_until
from tests.runs.mcp_talk import ECHO, PYTHON, start, talk

pytestmark = pytest.mark.sandbox


def see(ended: Ended) -> list[tuple[str, str, str]]:
    """Verdict, who said it, and what; of each message once."""
    told = [r for r in ended.receipts if r.transport == "mcp_stdio" and r.phase != "intent"]
    return [(r.verdict, r.facts["from"], r.target) for r in told]


def test_requests_answers_and_notifications_go_by_and_each_has_its_receipts(place: Place) -> None:
    with talk(place, ECHO) as talking:
        assert talking.ask("initialize", a=1)["result"] == {"method": "initialize", "params": {"a": 1}}
        talking.say(method="notifications/initialized")
        assert talking.call("look", at="it")["result"]["params"]["arguments"] == {"at": "it"}
        talking.leave()
        assert talking.hear() is None
        ended = talking.started.wait()
    assert ended.code in (0, 143)  # SIGTERM after a second, on a slow machine
    assert see(ended) == [
        ("allow", "client", "mcp:initialize"),
        ("allow", "client", "mcp:notifications/initialized"),
        ("allow", "client", "mcp:tools/call:look"),
    ]
    call = ended.outcomes[-1]
    assert call.facts["tool"] == "look"
    assert call.up > 0
    assert call.down > call.up
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_line_goes_by_as_it_came(place: Place) -> None:
    mirror = "for line in sys.stdin.buffer:\n    say(id=1, result=line.decode())\n"
    odd = '{ "method":"x\\u0041" , "id": 1,"jsonrpc":"2.0" ,"params":{"é":1e2}} '.encode()
    with talk(place, mirror) as talking:
        talking.write(odd + b"\r\n")
        heard = talking.hear()
    assert heard is not None
    assert heard["result"].encode() == odd + b"\n"


def test_nothing_but_messages_stands_on_standard_output(place: Place) -> None:
    server = 'print("a word of the server", file=sys.stderr, flush=True)' + ECHO
    with talk(place, server) as talking:
        talking.ask("ping")
        talking.leave()
        assert talking.hear() is None
        ended = talking.started.wait()
    assert "a word of the server\n" in ended.err
    assert "evidence in" in ended.err


def test_a_server_asks_its_client_and_is_answered(place: Place) -> None:
    server = """
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "tools/call":
        asked = message["id"]
        say(method="notifications/progress", params={"progressToken": 1, "progress": 1})
        say(id="of the server", method="sampling/createMessage", params={})
    elif message.get("id") == "of the server":
        say(id=asked, result=message["result"])
"""
    with talk(place, server) as talking:
        talking.say(id=1, method="tools/call", params={"name": "think"})
        heard = [talking.hear(), talking.hear()]
        assert [each["method"] for each in heard if each] == [
            "notifications/progress",
            "sampling/createMessage",
        ]
        talking.say(id="of the server", result={"content": "words"})
        answer = talking.hear()
        talking.leave()
        ended = talking.started.wait()
    assert answer is not None
    assert answer["result"] == {"content": "words"}
    assert see(ended) == [
        ("allow", "server", "mcp:notifications/progress"),
        ("allow", "server", "mcp:sampling/createMessage"),
        ("allow", "client", "mcp:tools/call:think"),
    ]


NO_MESSAGES = {
    "no JSON": (b"hello", "isn't JSON"),
    "two members of one name": (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', "stands twice"),
    "a batch": (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', "batch"),
    "another version": (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', "2.0"),
    "an id that is a fraction": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', "an id is a whole number"),
    "very deep": (
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + b"[" * 99 + b"]" * 99 + b"}}",
        "deep",
    ),
    "a line end within": (b'{"jsonrpc":"2.0",\r"id":1,"method":"ping"}', "carriage return"),
    "too long": (b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (5 << 20) + b'"}', "longer than"),
}


def test_a_client_that_says_no_message_is_told_so_and_may_go_on(place: Place) -> None:
    with talk(place, ECHO) as talking:
        for raw, reason in NO_MESSAGES.values():
            talking.write(raw + b"\n")
            told = talking.hear()
            assert told is not None
            assert reason in told["error"]["message"]
            assert told["id"] is None
            assert talking.ask("ping")["result"]["method"] == "ping"
        talking.leave()
        ended = talking.started.wait()
    assert ended.code in (0, 143)  # as above
    refused, passed = ("block", "client", "mcp:message"), ("allow", "client", "mcp:ping")
    assert sorted(see(ended)) == sorted([refused, passed] * len(NO_MESSAGES))


def test_one_line_hides_no_second_message_from_a_reader_of_universal_newlines(place: Place) -> None:
    """The control is the same server without us, to which the line is two messages, of which one is a call."""
    smuggled = (
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":\r'
        b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete"}}\r}}\n'
    )
    server = """
import io
for line in io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8"):  # as the official SDK does
    try:
        message = json.loads(line)
    except ValueError:
        continue
    if message["method"] == "tools/call":
        open("called", "w").close()
    say(id=message["id"], result={})
"""
    with talk(place, server) as talking:
        talking.write(smuggled)
        told = talking.hear()
        talking.ask("ping")
        talking.leave()
        ended = talking.started.wait()
    assert told is not None
    assert told["error"]["code"] == -32700
    assert not (ended.work / "called").exists()
    program = place.path / "server.py"
    subprocess.run([PYTHON, program], input=smuggled, cwd=ended.work, stdout=subprocess.DEVNULL, check=True)
    assert (ended.work / "called").exists()


BAD_SERVERS = {
    "prints what is no message": 'print("Server is ready", flush=True)\n',
    "prints half of one at its end": "sys.stdin.readline(); os.write(1, b'{\"jsonrpc\":'); sys.exit()\n",
    "floods without a line end": 'while True: sys.stdout.write("x" * 65536)\n',
}


@pytest.mark.parametrize("name", BAD_SERVERS)
def test_a_server_that_says_no_message_is_cut_off_and_its_client_sees_the_end(
    place: Place, name: str
) -> None:
    with talk(place, BAD_SERVERS[name] + "time.sleep(1000)") as talking:
        talking.say(id=1, method="initialize", params={})
        heard = [talking.hear(), talking.hear()]
        ended = talking.started.wait()
    assert heard[-1] is None or heard == [None, None]
    assert [r.layer for r in ended.blocks] == ["malformed"]
    assert ended.blocks[0].facts["from"] == "server"
    assert ended.code in (0, 143)
    assert ended.verify() == 0


def test_a_request_that_is_open_when_a_server_is_cut_off_gets_an_error(place: Place) -> None:
    server = "sys.stdin.readline(); print('oops', flush=True); time.sleep(1000)\n"
    with talk(place, server) as talking:
        error = talking.ask("initialize")["error"]
        assert talking.hear() is None
        ended = talking.started.wait()
    assert "no message" in error["message"]
    assert ended.code == 128 + signal.SIGTERM
    assert ended.status["end"] == "terminated"


def test_a_request_that_is_open_when_a_server_dies_gets_an_error(place: Place) -> None:
    with talk(place, "sys.stdin.readline(); sys.exit(3)\n") as talking:
        error = talking.ask("initialize")["error"]
        assert talking.hear() is None
        ended = talking.started.wait()
    assert "the server has ended" in error["message"]
    assert ended.code == 3
    assert ended.outcome.reason == "the server has ended"


def test_what_a_server_says_last_arrives(place: Place) -> None:
    server = """
asked = json.loads(sys.stdin.readline())
for number in range(30):
    say(method="notifications/message", params={"n": number, "pad": "x" * 9000})
say(id=asked["id"], result={})
os._exit(0)
"""
    with talk(place, server) as talking:
        talking.say(id=7, method="ping")
        heard = [talking.hear() for _ in range(31)]
        assert talking.hear() is None
        ended = talking.started.wait()
    assert [each["params"]["n"] for each in heard[:-1] if each] == list(range(30))
    assert heard[-1] == {"jsonrpc": "2.0", "id": 7, "result": {}}
    assert ended.code == 0


def test_an_answer_to_nothing_goes_nowhere(place: Place) -> None:
    server = """
for line in sys.stdin:
    number = json.loads(line)["id"]
    say(id=number + 100, result="nobody asked")
    say(id=str(number), result="another id")
    say(id=number, result="first")
    say(id=number, result="again")
"""
    with talk(place, server) as talking:
        assert [talking.ask("ping")["result"], talking.ask("ping")["result"]] == ["first", "first"]
        talking.leave()
        ended = talking.started.wait()
    assert [r.facts["from"] for r in ended.blocks] == ["server"] * 6


def test_an_id_is_not_used_twice_at_once(place: Place) -> None:
    server = "first = sys.stdin.readline(); sys.stdin.readline(); say(id=1, result={})\n"
    with talk(place, server) as talking:
        talking.say(id=1, method="a")
        talking.say(id=1, method="b")
        told = talking.hear()
        talking.say(id=2, method="c")
        answer = talking.hear()
        ended = talking.started.wait()
    assert told is not None
    assert told["error"]["code"] == -32600
    assert told["id"] is None  # what has the id is the answer to the first
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert [r.reason for r in ended.blocks if r.facts["from"] == "client"] != []


def test_a_server_gets_no_further_than_the_policy_says(place: Place) -> None:
    """The control is a server that may."""
    server = """
for line in sys.stdin:
    try:
        socket.create_connection(("127.0.0.1", 8888), timeout=100).close()
        with socket.create_connection(("192.0.2.1", 80), timeout=100) as sock:
            sock.sendall(b"GET / HTTP/1.1\\r\\nHost: 192.0.2.1\\r\\n\\r\\n")
            said = sock.recv(100).decode("latin-1")
    except OSError as error:
        said = repr(error)
    say(id=json.loads(line)["id"], result=said)
"""
    with talk(place, server) as talking:
        said = talking.call("fetch")["result"]
        talking.leave()
        ended = talking.started.wait()
    assert "403" in said
    assert [(r.layer, r.facts["host"]) for r in ended.blocks if r.transport == "transparent"] == [
        ("default_deny", "192.0.2.1")
    ]


TABLE = POLICY_HEAD + '[mcp]\ntools = ["look"]\nserver_methods = ["notifications/*"]\n'


def test_what_the_table_does_not_name_is_denied_in_words_for_a_model(place: Place) -> None:
    """The server tells of all that it gets; the control is a tool that is named."""
    server = """
for line in sys.stdin:
    message = json.loads(line)
    with open("heard", "a") as file:
        print(message.get("method"), (message.get("params") or {}).get("name"), message.get("error"), file=file)
    if message.get("method") == "initialize":
        say(id="s1", method="sampling/createMessage", params={})
    elif "error" in message:
        say(method="notifications/message", params={"of": message["id"]})
    else:
        say(id=message["id"], result={})
"""
    with talk(place, server, TABLE) as talking:
        talking.say(id="first", method="initialize")
        assert talking.hear() == {"jsonrpc": "2.0", "method": "notifications/message", "params": {"of": "s1"}}
        refused = talking.call("delete", path="/")["error"]
        assert "result" in talking.call("look")
        talking.leave()
        ended = talking.started.wait()
    assert refused["code"] == -32001
    assert refused["message"] == 'denied by the egress policy: [mcp] (line 3) names no "delete" in tools'
    assert (refused["data"]["retry"], refused["data"]["layer"]) == (False, "operation")
    heard = (ended.work / "heard").read_text()
    assert "look" in heard
    assert "delete" not in heard
    assert "names no" in heard  # of what it had asked itself
    assert [(r.facts["from"], r.target, r.layer) for r in ended.blocks] == [
        ("server", "mcp:sampling/createMessage", "operation"),
        ("client", "mcp:tools/call:delete", "operation"),
    ]
    assert ended.verify() == 0
    assert 'denied tools/call mcp:tools/call:delete: [mcp] (line 3) names no "delete" in tools' in ended.err


def test_a_tool_is_called_with_what_the_table_says_or_not_at_all(place: Place) -> None:
    table = '[mcp]\narguments = { "read_*" = { path = "/src/**" } }\n'
    with talk(place, ECHO, POLICY_HEAD + table) as talking:
        assert "result" in talking.call("read_file", path="/src/a.py")
        for path in ("/etc/passwd", "/src/../etc/passwd"):
            assert "arguments" in talking.call("read_file", path=path)["error"]["message"]
        talking.leave()
        ended = talking.started.wait()
    assert [(r.layer, r.target) for r in ended.blocks] == [("operation", "mcp:tools/call:read_file")] * 2
    assert "passwd" not in (ended.evidence / "evidence.jsonl").read_text()
    assert ended.verify() == 0


def test_another_policy_counts_from_the_next_message_on(place: Place) -> None:
    with talk(place, ECHO, TABLE) as talking:
        assert "error" in talking.call("delete")
        (place.path / "policy-0.toml").write_text(TABLE.replace("look", "delete"))
        talking.started.send(signal.SIGHUP)
        wait_until(lambda: "result" in talking.call("delete"), "the new policy")
        talking.leave()
        ended = talking.started.wait()
    assert ended.verify() == 0


def test_a_child_that_holds_standard_output_ends_with_its_server(place: Place) -> None:
    server = f'import subprocess\nsubprocess.Popen(["sleep", "{ours("4242")}"])\nsys.stdin.readline(); sys.exit(5)\n'
    with talk(place, server) as talking:
        assert "error" in talking.ask("ping")
        assert talking.hear() is None
        ended = talking.started.wait()
    assert ended.code == 5
    assert find_processes(ours("4242")) == []


DEAF = "signal = __import__('signal'); signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(method='x/ready')\n"
HANGS = {
    "reads to its end": "sys.stdin.read()\n",
    "reads nothing": "time.sleep(1000)\n",
    "does not heed SIGTERM": f"{DEAF}time.sleep(1000)\n",
}


@pytest.mark.parametrize("name", HANGS)
def test_a_server_ends_with_its_client(place: Place, name: str) -> None:
    with talk(place, HANGS[name]) as talking:
        talking.say(method="x/begin")
        if "ready" in HANGS[name]:
            talking.hear()
        talking.vanish()
        ended = talking.started.wait()
    assert ended.code in (0, 143)
    assert ended.verify() == 0
    assert find_processes(str(place.path / "server.py")) == []


def test_a_server_that_reads_nothing_holds_up_its_client_alone(place: Place) -> None:
    """And ends when that one vanishes, whatever is on its way."""
    with talk(place, "time.sleep(1000)\n") as talking:
        os.set_blocking(talking._in, False)
        message = (
            json.dumps({"jsonrpc": "2.0", "method": "x", "params": {"pad": "x" * 60000}}).encode() + b"\n"
        )
        sent = 0

        def is_full() -> bool:
            nonlocal sent
            try:
                sent += os.write(talking._in, message)
            except BlockingIOError:
                return True
            return False

        wait_until(is_full, "a full pipe")
        assert sent < 1 << 20
        talking.vanish()
        ended = talking.started.wait()
    assert ended.code == 143


def test_a_client_that_reads_nothing_holds_up_its_server_alone(place: Place) -> None:
    server = """
number = 0
while True:
    number += 1
    open("count", "w").write(str(number))
    say(method="x", params={"pad": "x" * 60000})
"""
    with talk(place, server) as talking:
        count = talking.started.place.work / "count"
        wait_until(lambda: count.exists() and count.read_text() not in ("", "1", "2"), "some messages")
        talking.vanish()
        ended = talking.started.wait()
    assert int(count.read_text()) < 40
    assert ended.code == 143


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_server_and_chain(place: Place, number: signal.Signals) -> None:
    with talk(place, ECHO) as talking:
        talking.ask("ping")
        talking.started.send(number)
        assert talking.hear() is None
        ended = talking.started.wait()
    assert ended.code in (128 + number, 1)  # Python turns SIGINT into an exception of its own
    assert ended.verify() == 0


def test_a_command_that_is_not_there_is_said_on_standard_error_alone(place: Place) -> None:
    with start(place, "no-such-server") as talking:
        talking.say(id=1, method="initialize")
        heard = talking.hear()
        ended = talking.started.wait()
    assert heard is None or "the server has ended" in heard["error"]["message"]  # as it was asked in time
    assert ended.code == 127
    assert "no-such-server" in ended.err


def test_each_session_has_its_evidence_below_one_directory(place: Place) -> None:
    command = [
        sys.executable,
        "-m",
        "trio_egress",
        "mcp",
        "--policy",
        str(place.write("p.toml", POLICY_HEAD)),
    ]
    below = place.path / "sessions"
    for _ in range(2):
        command_line = [*command, "--evidence-in", str(below), "--quiet", "--", "true"]
        subprocess.run(command_line, cwd=place.work, env=ENVIRONMENT, stdin=subprocess.DEVNULL, check=True)
    found = sorted(below.iterdir())
    assert [path.name.count("-") for path in found] == [4, 4]  # the ids of two runs
    assert all((path / "packet.json").is_file() for path in found)
    both = subprocess.run(
        [*command, "--evidence", "a", "--evidence-in", "b", "true"],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert both.returncode == 125
    assert b"give one of them" in both.stderr
