"""What a command loads: a reviewer's machine trusts nothing, and start-up time is a feature.

Each test asks the interpreter itself, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NETWORK = {"trio", "socket", "_socket", "ssl", "_ssl", "pyroute2", "asyncio", "ctypes"}
RUNTIME = {
    f"trio_egress.{part}" for part in ("runtime", "proxy", "kernel", "recorder", "policy", "wire", "model")
}


def modules_loaded_by(*arguments: str) -> set[str]:
    """Every module that `python ARGUMENTS` imports, by the interpreter's own account (-X importtime)."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return {
        line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")
    }


def within(loaded: set[str], names: set[str]) -> set[str]:
    """Those of `loaded` that are one of `names`, or below one."""
    return {
        module for module in loaded if any(module == name or module.startswith(f"{name}.") for name in names)
    }


def test_the_verifier_loads_no_network_and_no_runtime() -> None:
    loaded = modules_loaded_by("-c", "import trio_egress.evidence.verify")
    assert "trio_egress.evidence.verify" in loaded
    assert within(loaded, NETWORK | RUNTIME) == set()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["run", "--help"], ["verify", "--help"]],
    ids=" ".join,
)
def test_help_loads_only_the_command_line(arguments: list[str]) -> None:
    loaded = modules_loaded_by("-m", "trio_egress", *arguments)
    assert "trio_egress.cli.main" in loaded
    assert (
        within(loaded, {"trio", "pyroute2", "cryptography", "nacl", "dns", "ssl", "attr"} | RUNTIME) == set()
    )


def test_a_run_loads_nothing_of_mcp() -> None:
    loaded = modules_loaded_by("-c", "import trio_egress.cli.run, trio_egress.runtime.supervisor")
    mcp = {
        f"trio_egress.{name}" for name in ("runtime.stdio", "proxy.mcp_stdio", "wire.jsonrpc", "wire.lines")
    }
    assert "trio_egress.runtime.supervisor" in loaded
    assert within(loaded, mcp) == set()
    assert within(modules_loaded_by("-c", "import trio_egress.cli.mcp"), mcp) == mcp


def test_the_fuzzing_package_loads_no_proxy_and_no_kernel() -> None:
    loaded = modules_loaded_by("-c", "import trio_egress.fuzzing")
    assert "hypothesis" in loaded
    assert within(loaded, {"trio_egress.kernel", "trio_egress.proxy", "trio_egress.runtime"}) == set()


def test_verify_command_loads_neither_trio_nor_netlink(tmp_path: Path) -> None:
    (tmp_path / "evidence.jsonl").write_bytes(b'{"not":"a receipt"}\n')
    loaded = modules_loaded_by("-m", "trio_egress", "verify", str(tmp_path))
    assert "trio_egress.evidence.verify" in loaded
    assert within(loaded, {"trio", "pyroute2", "ssl", "_ssl", "cryptography", "asyncio"} | RUNTIME) == set()


@pytest.mark.parametrize(("name", "uses_yaml"), [("agent.toml", False), ("agent.yaml", True)])
def test_policy_command_loads_no_network_and_yaml_only_for_yaml(
    name: str, uses_yaml: bool, tmp_path: Path
) -> None:
    text = 'version: "1.0"\ndefault_deny: true\n'
    (tmp_path / name).write_text(text if uses_yaml else text.replace(":", " ="))
    loaded = modules_loaded_by("-m", "trio_egress", "policy", "check", str(tmp_path / name))
    assert "trio_egress.policy.load" in loaded
    assert within(loaded, {"trio", "pyroute2", "asyncio", "cryptography", "nacl"}) == set()
    assert ("yaml" in loaded) is uses_yaml


@pytest.mark.parametrize("module", ["trio", "pyroute2", "ssl", "trio_egress.recorder", "trio_egress.model"])
def test_a_loaded_module_would_be_seen(module: str) -> None:
    loaded = modules_loaded_by("-c", f"def late():\n    import {module}\nlate()")
    assert within(loaded, NETWORK | RUNTIME) >= {module}
