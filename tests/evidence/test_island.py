"""The verifier runs where nothing else is: no network, no processes, no runtime, and no library but two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, write_evidence
from tests.evidence.test_packet import make_packet

import trio_egress

ROOT = str(Path(trio_egress.__file__).parents[1])
LIBRARIES = {"attr", "attrs", "nacl", "_cffi_backend", "cffi", "trio_egress"}
REFUSED = {
    *(
        "socket",
        "_socket",
        "ssl",
        "_ssl",
        "select",
        "selectors",
        "asyncio",
        "http",
        "urllib.request",
        "ftplib",
    ),
    *(
        "subprocess",
        "_posixsubprocess",
        "multiprocessing",
        "concurrent",
        "ctypes",
        "signal",
        "fcntl",
        "resource",
    ),
    *("pwd", "grp", "secrets", "random", "tempfile", "curses", "sqlite3", "pickle"),
}
OURS = {"trio_egress", "trio_egress.evidence", "trio_egress.errors", "trio_egress.values"}

PROGRAM = """
import sys
class Refusal:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        ours = top == "trio_egress" and not (name in {ours} or name.startswith("trio_egress.evidence."))
        other = top not in sys.stdlib_module_names and top not in {libraries}
        if name in {refused} or ours or other:
            raise ImportError("refused here: " + name)
if sys.version_info < (3, 11):
    import attr  # whose `platform` loads subprocess there
else:
    for name in {refused}:
        assert name not in sys.modules or name == "signal", name
sys.meta_path.insert(0, Refusal())
from trio_egress.evidence.verify import verify
for path in sys.argv[2:]:
    for quick in (False, True):
        print(verify(path, [sys.argv[1]], quick=quick).exit_code)
"""


def _run(*paths: Path) -> list[int]:
    program = PROGRAM.format(ours=OURS, libraries=LIBRARIES, refused=REFUSED)
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program, KEY.public_hex, *map(str, paths)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return [int(line) for line in ran.stdout.split()]


def test_a_packet_is_verified_with_the_verifier_alone(tmp_path: Path) -> None:
    packet, broken = tmp_path / "packet", tmp_path / "broken"
    packet.mkdir()
    broken.mkdir()
    make_packet(packet)
    write_evidence(broken, [b"{}\n", b"\xff\n", b"["])
    assert _run(packet, packet / "evidence.jsonl", broken, tmp_path / "none") == [0, 3, 0, 3, 1, 1, 2, 2]


def test_what_is_refused_would_be_missed(tmp_path: Path) -> None:
    """The control: the same blocker stops what does need the network."""
    program = PROGRAM.format(ours=OURS, libraries=LIBRARIES, refused=REFUSED)
    for name in ("socket", "sqlite3", "trio", "trio_egress.runtime", "trio_egress.policy.rule"):
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run(
                [sys.executable, "-S", "-c", f"{program}\nimport {name}", KEY.public_hex],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)])},
                stderr=subprocess.DEVNULL,
                check=True,
            )
