"""The programs that our reading of URLs is held against are there, and read on their own: they don't always agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
PROGRAM = """
import json, sys
from oracles import ORACLES
print(json.dumps({name: (host := read(sys.argv[1])) and str(host) for name, read in ORACLES.items()}))
"""


def read(url: str) -> dict[str, str | None]:
    command = [sys.executable, "-c", PROGRAM, url]
    ended = subprocess.run(command, cwd=FUZZ, capture_output=True, text=True, check=True, timeout=60)
    answers: dict[str, str | None] = json.loads(ended.stdout)
    return answers


@pytest.mark.programs
@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://API.Example.com./x", "api.example.com"),
        ("https://0x7f.1:8443/", "127.0.0.1"),
        ("http://[::FFFF:7f00:1]/", "127.0.0.1"),
        ("http://[2001:DB8:0::1]:80/", "2001:db8::1"),
    ],
)
def test_every_program_reads_a_plain_url_as_the_same_host(url: str, host: str) -> None:
    assert read(url) == dict.fromkeys(("node", "curl", "urllib"), host)


@pytest.mark.programs
def test_they_differ_where_programs_differ() -> None:
    confused = read("http://a.example\\@b.example/")
    assert confused["node"] == "a.example"
    assert confused["urllib"] == "b.example"
    assert read("http://1.0x/") == {"node": "1.0.0.0", "curl": "1.0x", "urllib": "1.0x"}
    assert read("http:///x")["urllib"] is None
