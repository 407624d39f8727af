"""HTTP/3: refused at its first datagram, so that a client goes on over TCP, where its requests can be judged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import ENVIRONMENT, Place, write_policy

from trio_egress.kernel.trust import BUNDLE_FILE

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

HOST = "api.example.com"
HTTP_3, HTTP_3_ONLY = 30, 31
"""What libcurl calls them: the first may fall back."""

CLIENT = """
import sys
from io import BytesIO
from curl_cffi import Curl, CurlError, CurlInfo, CurlOpt
url, version, authority = sys.argv[1:]
curl, body = Curl(), BytesIO()
curl.setopt(CurlOpt.URL, url.encode())
curl.setopt(CurlOpt.HTTP_VERSION, int(version))
curl.setopt(CurlOpt.CAINFO, authority.encode())
curl.setopt(CurlOpt.WRITEDATA, body)
try:
    curl.perform()
    print(curl.getinfo(CurlInfo.HTTP_VERSION), body.getvalue().decode().strip(), sep="|")
except CurlError as error:
    print(f"error {error.code}", error, sep="|")
"""
SERVER = """
import asyncio, sys
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
class Server(QuicConnectionProtocol):
    http = None
    def quic_event_received(self, event):
        self.http = self.http or H3Connection(self._quic)
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self.http.send_headers(one.stream_id, [(b":status", b"200")])
                self.http.send_data(one.stream_id, b"hello over QUIC", True)
                self.transmit()
async def main(port, certificate, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(certificate, key)
    await serve("127.0.0.1", int(port), configuration=configuration, create_protocol=Server)
    print("listens", flush=True)
    await asyncio.Future()
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def quic(web: Web) -> Iterator[None]:
    """A server of HTTP/3 where nginx has its own: the same host, port and certificate, over UDP."""
    above = web.root.parent
    command = [sys.executable, "-c", SERVER, web.https, above / "server.pem", above / "server.key"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listens\n"
            yield
        finally:
            process.kill()


def test_outside_the_client_gets_its_answer_over_quic(web: Web, quic: None) -> None:
    """The control."""
    url = f"https://127.0.0.1:{web.https}/hello"
    command = [sys.executable, "-c", CLIENT, url, str(HTTP_3_ONLY), str(web.authority)]
    told = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=True).stdout
    assert told.decode().strip() == f"{HTTP_3}|hello over QUIC"


@pytest.mark.parametrize("seen", [False, True])
def test_a_client_is_refused_at_once_and_goes_on_over_tcp(
    place: Place, web: Web, quic: None, seen: bool
) -> None:
    paths = 'paths = ["/hello"]\n' if seen else ""
    more = f'[[egress]]\ndestination = "{HOST}"\n{paths}'
    program = place.write("client.py", CLIENT)
    authority = BUNDLE_FILE if seen else web.authority
    asks = [f'"$1" "$2" https://{HOST}/hello {version} {authority}' for version in (HTTP_3_ONLY, HTTP_3)]
    ended = run_job(
        place,
        "\n".join(asks),
        sys.executable,
        program,
        policy=write_policy(more=more, pins=web.pins(HOST)),
        environment={"SSL_CERT_FILE": str(web.authority)},
    )
    refused, answered = ended.text.splitlines()
    # The send itself fails, with EPERM: nobody waits for an answer.
    assert refused.startswith("error 55|")
    assert "errno 1" in refused
    assert answered.partition("|")[2] == f"hello https {HOST} GET"
    assert {(block.transport, block.reason.partition(",")[0]) for block in ended.blocks} == {
        ("packet", "QUIC is refused")
    }
    assert all(block.target.startswith("udp://") and block.target.endswith(":443") for block in ended.blocks)
    assert sum(block.facts["count"] for block in ended.blocks) == ended.counters["udp"] > 0
    assert [outcome.transport for outcome in ended.outcomes] == ["intercept"] * seen + ["transparent"]
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_nobody_is_told_of_quic_where_answers_are_seen(
    place: Place, web: Web, seen: bool, version: str
) -> None:
    """An opaque tunnel is the control."""
    paths = 'paths = ["/advertised"]\n' if seen else ""
    policy = write_policy(more=f'[[egress]]\ndestination = "{HOST}"\n{paths}', pins=web.pins(HOST))
    script = f"curl -sS {version} -D - https://{HOST}/advertised"
    ended = run_job(place, script, policy=policy, environment={"SSL_CERT_FILE": str(web.authority)})
    head, _, body = ended.text.replace("\r", "").partition("\n\n")
    assert body.startswith("HTTP/")
    assert ("alt-svc: h3=" in head.lower()) != seen
    assert ended.verify() == 0
