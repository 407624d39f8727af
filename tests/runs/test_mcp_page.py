"""docs/mcp.md: its command runs as it stands, with a server in place of the registry's, and clients start the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import tomli
from tests.blocks import read_blocks, write_program
from tests.runs.launch import ENVIRONMENT, PATIENCE_SECONDS, POLICY_HEAD, Place
from tests.runs.mcp_talk import HEAD, PYTHON

from trio_egress.cli.main import build_parser

PAGE = "docs/mcp.md"
(COMMAND,) = read_blocks(PAGE, "sh")
(CLIENT,) = read_blocks(PAGE, "json")
_, CODEX, CHANGED = read_blocks(PAGE, "toml")
SERVER = f"""#!{PYTHON}
{HEAD}
for number, line in enumerate(sys.stdin):
    asked = json.loads(line)
    tools = [dict(name="read", description=f"Read, version {{number}}.", inputSchema=dict())]
    say(id=asked["id"], result=dict(tools=tools, arguments=sys.argv[1:]))
"""


def test_clients_start_what_the_command_starts() -> None:
    words = COMMAND.split()
    agent = words[words.index("--") :]
    for told in (json.loads(CLIENT)["mcpServers"], tomli.loads(CODEX)["mcp_servers"]):
        server = told["files"]
        assert (server["command"], server["args"][0]) == tuple(words[:2])
        assert server["args"][server["args"].index("--") :] == agent
        assert build_parser()[0].parse_args(server["args"]).policy == "/etc/agents/files.toml"


@pytest.mark.sandbox
def test_the_command_runs_a_server_whose_tools_may_not_change(place: Place) -> None:
    programs = place.path / "programs"
    write_program(programs, "trio-egress", f'#!/bin/sh\nexec {sys.executable} -m trio_egress "$@"\n')
    write_program(programs, "npx", SERVER)
    (place.work / "files.toml").write_text(POLICY_HEAD + CHANGED)
    lists = [{"jsonrpc": "2.0", "id": number, "method": "tools/list"} for number in (1, 2)]
    ran = subprocess.run(
        ["bash", "-c", COMMAND],
        input="".join(f"{json.dumps(each)}\n" for each in lists),
        capture_output=True,
        text=True,
        cwd=place.work,
        env={**ENVIRONMENT, "PATH": f"{programs}:{os.environ['PATH']}"},
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    first, second = map(json.loads, ran.stdout.splitlines())
    assert first["result"]["arguments"] == COMMAND.split("npx ")[1].split()
    assert "a tool is not what the server first said" in second["error"]["message"]
    assert ran.returncode in (0, 143), (
        ran.stderr
    )  # 143: a machine too slow for the second that a server has to end
    assert list((place.work / "trio-egress-audit").iterdir())
