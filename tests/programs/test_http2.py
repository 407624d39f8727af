"""HTTP/2 and gRPC in real runs: clients and servers that nobody here wrote, with each request judged and recorded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web, find_ports
from tests.runs.launch import ENVIRONMENT, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

HOST = "api.example.com"
RULE = f'[[egress]]\ndestination = "{HOST}"\nmethods = ["GET", "POST", "PUT"]\npaths = ["/hello", "/put/**", "/take"]\n'
CURL = "curl -sS -o /dev/null -w '%{http_version} %{http_code}\\n'"
GRPC_RULE = '[[egress]]\ndestination = "api.example.com"\nmethods = ["POST"]\npaths = ["/demo.Demo/*"]\n'

GRPC = """
import sys, time
import grpc
one = lambda raw: raw
def unary(request, context): return b"hello " + request
def down(request, context):
    for count in range(int(request)): yield b"%d" % count
def up(requests, context): return b"+".join(requests)
def both(requests, context):
    for request in requests: yield request.upper()
def fails(request, context): context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
"""
SERVER = (
    GRPC
    + """
from concurrent.futures import ThreadPoolExecutor
server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("demo.Demo", {
    "Unary": grpc.unary_unary_rpc_method_handler(unary, one, one),
    "Down": grpc.unary_stream_rpc_method_handler(down, one, one),
    "Up": grpc.stream_unary_rpc_method_handler(up, one, one),
    "Both": grpc.stream_stream_rpc_method_handler(both, one, one),
    "Fails": grpc.unary_unary_rpc_method_handler(fails, one, one),
})])
port, certificate, key = sys.argv[1:]
chain = open(certificate, "rb").read()
server.add_secure_port("127.0.0.1:" + port, grpc.ssl_server_credentials([(open(key, "rb").read(), chain)]))
server.start()
print("listens", flush=True)
server.wait_for_termination()
"""
)
CLIENT = (
    GRPC
    + """
channel = grpc.secure_channel("api.example.com:443", grpc.ssl_channel_credentials())
def call(kind, name, argument, **more):
    try:
        answer = getattr(channel, kind)(f"/{name}", one, one)(argument, timeout=60, **more)
        return b",".join(answer) if "stream" == kind.split("_")[1] else answer
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}".encode()
print(call("unary_unary", "demo.Demo/Unary", b"agent").decode())
print(call("unary_stream", "demo.Demo/Down", b"5").decode())
print(call("stream_unary", "demo.Demo/Up", iter([b"a", b"b", b"c"])).decode())
print(call("stream_stream", "demo.Demo/Both", iter([b"a", b"b"])).decode())
print(call("unary_unary", "demo.Demo/Fails", b"").decode())
print(call("unary_unary", "demo.Demo/Unary", b"x" * 3_000_000)[:8].decode())
print(call("unary_unary", "other.Other/Unary", b"").decode().partition(":")[0])
"""
)
NODE = """
const session = require('http2').connect('https://api.example.com');
const stream = session.request({':path': '/hello'});
let body = '';
stream.on('response', head => { body += head[':status'] + ' '; });
stream.on('data', data => { body += data; });
stream.on('end', () => { console.log(body.trim()); session.close(); });
"""


def lay_out(place: Place, web: Web, rule: str = RULE) -> str:
    """The policy under which upstreams are known by the test's authority, and requests are seen."""
    (place.path / "root.pem").write_bytes(web.authority.read_bytes())
    (place.path / "root.pem").chmod(0o644)
    return write_policy(more=rule + '[tls]\nextra_ca = ["root.pem"]\n', pins=web.pins(HOST))


SCANNED = pytest.mark.parametrize("scan", ["", "scan = true\n"], ids=["judged", "looked through"])


@SCANNED
def test_curl_speaks_what_it_asks_for_and_each_request_is_judged(place: Place, web: Web, scan: str) -> None:
    script = f"""
        head -c 5000000 /dev/zero >big
        {CURL} --http2 https://{HOST}/hello -o /dev/null https://{HOST}/hello
        {CURL} --http1.1 https://{HOST}/hello
        {CURL} --http2 https://{HOST}/denied
        {CURL} --http2 -T big https://{HOST}/put/big{len(scan)}
        {CURL} --http2 -H 'Host: evil.example' https://{HOST}/hello
    """
    ended = run_job(place, script, policy=lay_out(place, web, RULE + scan))
    assert ended.text.split("\n")[:6] == ["2 200", "2 200", "1.1 200", "2 403", "2 201", "2 421"]
    seen = web.take_requests()
    assert [(r["uri"], r["protocol"]) for r in seen] == [
        ("/hello", "HTTP/2.0"),
        ("/hello", "HTTP/2.0"),
        ("/hello", "HTTP/1.1"),
        (f"/put/big{len(scan)}", "HTTP/2.0"),
    ]
    requests = [o for o in ended.outcomes if o.transport == "intercept"]
    assert [o.facts["status"] for o in requests] == [200, 200, 200, 201]
    assert requests[-1].facts["bytes_up"] > 5_000_000
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_two_hundred_streams_at_once_and_thousands_on_one_connection(place: Place, web: Web) -> None:
    load = f"h2load -c 1 https://{HOST}/hello | grep -E '^requests|^status'"
    script = (
        f"{load.replace('-c 1', '-c 1 -n 10000 -m 200')}; {load.replace('-c 1', '-c 1 -n 1000 -m 1 --h1')}"
    )
    ended = run_job(place, script, policy=lay_out(place, web))
    assert (
        "requests: 10000 total, 10000 started, 10000 done, 10000 succeeded, 0 failed, 0 errored" in ended.text
    )
    assert "requests: 1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored" in ended.text
    assert len(web.take_requests()) == 11_000
    assert sum(o.transport == "intercept" for o in ended.outcomes) == 11_000
    assert ended.verify() == 0


@SCANNED
def test_node_speaks_to_it_as_to_its_upstream(place: Place, web: Web, scan: str) -> None:
    ended = run_job(place, 'node -e "$1"', NODE, policy=lay_out(place, web, RULE + scan))
    assert ended.text.strip() == f"200 hello https {HOST}:443 GET"  # as it spells its authority
    assert [r["protocol"] for r in web.take_requests()] == ["HTTP/2.0"]


@pytest.fixture
def grpc_port(web: Web) -> Iterator[int]:
    """A gRPC server with nginx's certificate."""
    (port,) = find_ports(1)
    above = web.root.parent
    command = [sys.executable, "-c", SERVER, str(port), str(above / "server.pem"), str(above / "server.key")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listens\n"
            yield port
        finally:
            process.kill()


@SCANNED
def test_grpc_calls_of_every_kind_and_a_method_that_is_denied(
    place: Place, web: Web, grpc_port: int, scan: str
) -> None:
    policy = lay_out(place, web, GRPC_RULE + scan).replace(f":{web.https}", f":{grpc_port}")
    packages = Path(str(grpc.__file__)).parents[1]
    environment = {"PYTHONPATH": str(packages), "GRPC_VERBOSITY": "ERROR"}
    ended = run_job(place, f'{sys.executable} -c "$1"', CLIENT, policy=policy, environment=environment)
    assert ended.text.splitlines() == [
        "hello agent",
        "0,1,2,3,4",
        "a+b+c",
        "A,B",
        "NOT_FOUND: no such thing",
        "hello xx",
        "PERMISSION_DENIED",
    ], ended.err
    assert [b.target for b in ended.blocks] == [f"https://{HOST}:443/other.Other/Unary"]
    assert ended.verify() == 0
