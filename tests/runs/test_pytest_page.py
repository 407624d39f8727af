"""docs/pytest.md: its tests pass by its command, beside an agent that asks a server of the test's own."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trustme
from tests.blocks import read_blocks, write_program
from tests.runs.launch import ENVIRONMENT, PATIENCE_SECONDS, Place, read_receipts, write_policy
from tests.serving import Handler, serve

pytestmark = pytest.mark.sandbox

PAGE = "docs/pytest.md"
PYTEST = (
    "-m pytest -p no:cacheprovider -p no:trio_egress -p trio_egress.integrations.testing.plugin --rootdir=."
)
FETCHES = """
import ssl, urllib.request

def fetch(url):
    context = ssl.create_default_context(cafile="root.pem")
    with urllib.request.urlopen(url, context=context) as answer:
        return answer.read()

if __name__ == "__main__":
    print(fetch("https://api.example.com/"))
"""


class Answer(Handler):
    def do_GET(self) -> None:
        self.answer(b"here")


@pytest.fixture
def port(place: Place) -> Iterator[int]:
    """Of api.example.com, whose root is in `root.pem` of the agent's directory."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(place.work / "root.pem"))
    (place.work / "root.pem").chmod(0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example.com").configure_cert(context)
    with serve(Answer, context) as port:
        yield port


def test_its_tests_pass_by_its_command(place: Place, port: int) -> None:
    (tests,) = read_blocks(PAGE, "python")
    (command,) = read_blocks(PAGE, "console")
    (place.work / "test_agent.py").write_text(tests)
    (place.work / "agent.py").write_text(FETCHES)
    pins = {"api.example.com:443": f"127.0.0.1:{port}"}
    (place.work / "egress.toml").write_text(write_policy("api.example.com", pins=pins))
    programs = place.path / "programs"
    write_program(programs, "pytest", f'#!/bin/sh\nexec {sys.executable} {PYTEST} "$@"\n')
    ran = subprocess.run(
        ["bash", "-c", command.removeprefix("$ ")],
        capture_output=True,
        text=True,
        cwd=place.work,
        env={
            **ENVIRONMENT,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout
    assert "2 tests in a sandbox, 0 of them with denials" in ran.stdout
    targets = [
        {one.target for one in read_receipts(packet) if one.transport != "dns"}
        for packet in (place.work / "trio-egress-audit").iterdir()
    ]
    assert targets == [{"tls://api.example.com:443"}] * 2
