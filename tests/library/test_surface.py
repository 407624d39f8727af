"""The public surface, spelled out: to add a name, or a word of a signature, is to add it here."""

from __future__ import annotations

import inspect
import subprocess
import sys

import attrs
import pytest

import trio_egress as te

NAMES = """
AsyncProcess Attempt CommandDeniedError Decision Denied DeniedError Done Event EvidenceError Layer PIPE Packet Policy
PolicyError Problem Process Protocol Question Report Run Sandbox SandboxError Transport TrioEgressError TrioProcess
TrioSandbox UsageError Verdict __version__ open_sandbox parse_host run verify
"""

OPENING = (
    "policy workspace environment allow timeout evidence evidence_in key signer user on_event decide backend"
)
RUNNING = "self command directory environment timeout input max_output check_denied"
SPAWNING = "self command stdin stdout stderr directory environment timeout"

SIGNATURES = {
    "Sandbox": OPENING,
    "open_sandbox": OPENING,
    **dict.fromkeys(("Sandbox.run", "Sandbox.arun", "TrioSandbox.run"), RUNNING),
    **dict.fromkeys(("Sandbox.spawn", "Sandbox.aspawn", "TrioSandbox.spawn"), SPAWNING),
    **dict.fromkeys(
        ("Sandbox.read_file", "Sandbox.aread_file", "TrioSandbox.read_file"), "self path max_bytes"
    ),
    **dict.fromkeys(
        ("Sandbox.write_file", "Sandbox.awrite_file", "TrioSandbox.write_file"), "self path data"
    ),
    **dict.fromkeys(("Sandbox.events", "Sandbox.aevents", "TrioSandbox.events"), "self"),
    "run": "command policy allow directory environment timeout max_output evidence evidence_in key signer user "
    "check_denied decide backend",
    "Policy.load": "path allow",
    "Policy.decide": "self attempt at",
    "verify": "path keys policy_hash expect_run expect_head anchors decide quick checker",
    "parse_host": "raw",
}

FIELDS = {
    "Run": "returncode end verdict packet denied denied_count found touched message stdout stderr truncated "
    "backend",
    "Done": "returncode stdout stderr timed_out truncated denied denied_count limit message errno",
    "Event": "verdict phase transport protocol method target host port layer reason rule count dropped",
    "Question": "attempt rule reason marked seconds",
    "Packet": "path run_id head manifest_sha256",
    "Denied": "transport protocol method target host port layer reason rule count",
}

HEAVY = {"trio", "asyncio", "socket", "ssl", "threading", "attr", "typing", "re", "subprocess", "pyroute2"}


def find(dotted: str) -> object:
    found: object = te
    for name in dotted.split("."):
        found = getattr(found, name)
    return found


def test_the_public_names_are_these() -> None:
    assert sorted(te.__all__) == sorted(NAMES.split())
    assert set(te.__all__) <= set(dir(te))


def test_each_name_is_that_of_what_it_names() -> None:
    named = {name: getattr(te, name) for name in te.__all__ if name not in ("__version__", "PIPE")}
    assert {name: each.__name__ for name, each in named.items()} == {name: name for name in named}


@pytest.mark.parametrize("name", SIGNATURES)
def test_what_is_called_takes_these(name: str) -> None:
    called = find(name)
    assert callable(called)
    assert list(inspect.signature(called).parameters) == SIGNATURES[name].split()


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_given_has_these(name: str) -> None:
    given = find(name)
    assert isinstance(given, type)
    assert [field.name for field in attrs.fields(given)] == FIELDS[name].split()


def test_every_error_is_one_of_ours() -> None:
    errors = [getattr(te, name) for name in te.__all__ if name.endswith("Error")]
    assert len(errors) == 7
    assert all(issubclass(error, te.TrioEgressError) for error in errors)


def loaded_by(program: str) -> set[str]:
    ran = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {sys.path!r}\n{program}\nprint(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stdout.split())


def test_importing_it_loads_nothing() -> None:
    loaded = loaded_by("before = set(sys.modules)\nimport trio_egress as te\nnew = set(sys.modules) - before")
    assert {name for name in loaded if name.startswith("trio_egress")} == {"trio_egress"}
    assert not HEAVY & (loaded - loaded_by(""))


def test_what_runs_and_judges_loads_no_network() -> None:
    loaded = loaded_by("import trio_egress as te\nte.run, te.Policy, te.verify, te.Attempt")
    assert "trio_egress.library.running" in loaded
    assert not {"trio", "asyncio", "socket", "ssl", "pyroute2", "ctypes", "cryptography"} & loaded


def test_a_sandbox_of_plain_programs_and_of_asyncio_loads_no_event_loop() -> None:
    loaded = loaded_by("import trio_egress as te\nte.Sandbox('egress.toml', decide=print)")
    assert "trio_egress.library.sandbox" in loaded
    assert not {"trio", "asyncio", "ssl", "pyroute2", "cryptography"} & loaded
