"""Nothing is imported once the agent runs: by then root is given up, and the agent may have rewritten what it can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

POLICY = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "api.example.com"\n'

PROGRAM = """
import sys

late, started = [], False

def hook(event, arguments):
    if event == "import" and started and arguments[0] not in sys.modules:
        late.append(arguments[0])

sys.addaudithook(hook)
from trio_egress.runtime import agent, supervisor

async def run_agent(*arguments):
    global started
    started = True
    return await agent.run_agent(*arguments)

supervisor.run_agent = run_agent
from trio_egress.cli.main import main
status = main(sys.argv[1:])
if LATE:
    import this_module_does_not_exist
sys.exit(f"late imports: {late}" if late else status)
"""

AGENT = """
import socket, urllib.request
for url in ("http://denied.example.com/", "http://192.0.2.1/", "http://api.example.com/"):
    try: urllib.request.urlopen(url, timeout=60)
    except OSError: pass
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
"""


def run(tmp_path: Path, program: str) -> subprocess.CompletedProcess[str]:
    tmp_path.chmod(0o755)
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    command = ["run", "--quiet", "--policy", str(policy), "--evidence", str(tmp_path / "evidence")]
    return subprocess.run(
        [sys.executable, "-c", program, *command, "--", "/usr/bin/python3", "-c", AGENT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )


def test_nothing_is_imported_once_the_agent_runs(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM.replace("LATE", "False"))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_late_import_would_be_seen(tmp_path: Path) -> None:
    late = PROGRAM.replace("LATE:", "True:").replace("import this_module_does_not_exist", "import colorsys")
    done = run(tmp_path, late)
    assert "late imports: ['colorsys']" in done.stderr
