"""The import graph of src/trio_egress: who may import whom, and which library is whose.

Imports go down only; a folder may import itself; floor 1 never looks sideways. A library belongs to the files named
in LIBRARIES. To add a folder, a library or a file for a library is to add a row here, in the same commit.
"""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "trio_egress"

FLOORS = {
    "__init__": 0,
    "model": 0,
    "resource_limits": 0,
    "errors": 0,
    "values": 0,
    "texts": 0,
    "policy": 1,
    "wire": 1,
    "content": 1,
    "evidence": 1,
    "kernel": 2,
    "pages": 2,
    "review": 2,
    "drafts": 2,
    "groups": 2,
    "writer": 2,
    "checkers": 2,
    "views": 2,
    "signer": 2,
    "static": 2,
    "git_relay": 3,
    "recorder": 3,
    "telemetry": 3,
    "verification": 3,
    "proxy": 4,
    "runtime": 5,
    "demo": 5,
    "attack": 5,
    "cli": 6,
    "__main__": 6,
    "integrations": 8,
    "library": 7,
    "fuzzing": 6,
}

LIBRARIES = {  # library: the files that may import it, as paths below src/trio_egress
    "agents": ["integrations/openai_agents.py"],
    "asyncssh": ["git_relay/carry.py"],
    "attrs": ["*"],
    "autogen_core": ["integrations/autogen.py"],
    "brotli": ["wire/coding.py"],
    "cattrs": ["policy/*"],
    "cryptography": [
        "demo/upstreams.py",
        "evidence/timestamp.py",
        "proxy/authority.py",
        "proxy/certificates.py",
        "runtime/ssh_keys.py",
    ],
    "deepagents": ["integrations/deepagents.py"],
    "exceptiongroup": ["recorder.py", "proxy/*", "runtime/*", "cli/*", "integrations/*"],
    "graphql": ["wire/graphql.py"],
    "h11": ["wire/http1.py"],
    "h2": ["wire/http2.py"],
    "hyperframe": ["wire/http2.py"],
    "hyperscan": ["content/hyperscan_matcher.py"],
    "hypothesis": ["fuzzing/*"],
    "idna": ["policy/hosts.py", "fuzzing/hosts.py"],
    "inspect_ai": ["integrations/inspect_ai.py"],
    "mcp": ["integrations/mcp.py"],
    "nacl": ["evidence/sign.py"],
    "re2": ["content/pattern.py", "content/re2_matcher.py"],
    "ruamel": ["policy/format_yaml.py"],
    "pydantic": ["integrations/autogen.py", "integrations/inspect_ai.py"],
    "pydantic_ai": ["integrations/pydantic_ai.py", "integrations/pydantic_ai_workspace.py"],
    "pytest": ["integrations/testing/*"],
    "rfc3161_client": ["evidence/timestamp.py"],
    "sniffio": ["integrations/inspect_ai.py"],
    "smolagents": ["integrations/smolagents.py"],
    "tomli": ["texts/toml_text.py", "texts/positions.py", "evidence/roster.py"],
    "trio": [
        "groups.py",
        "writer/*",
        "recorder.py",
        "proxy/*",
        "runtime/*",
        "cli/*",
        "integrations/*",
        "library/trio_sandbox.py",
        "library/trio_calls.py",
    ],
    "tomlkit": ["policy/format.py"],
    "yaml": ["policy/yaml_text.py", "policy/foreign/documents.py"],
    "zstandard": ["wire/coding.py", "static/archives.py"],
    # Of the standard library, where a floor's promise hangs on it.
    "ctypes": ["kernel/syscalls.py"],
}

PUBLIC = {"__init__", "errors", "evidence", "library", "model", "policy", "verification"}
"""Where the package's public names come from, each on first use: a test below holds that nothing is loaded before."""

LAUNCHER = [
    *("kernel/launcher.py", "kernel/init.py", "kernel/syscalls.py", "kernel/view.py", "kernel/landlock.py"),
    *(
        "kernel/guard.py",
        "kernel/idmap.py",
        "kernel/proc.py",
        "kernel/rights.py",
        "kernel/calls.py",
        "kernel/notify.py",
        "kernel/terminal.py",
    ),
    *("kernel/limits.py", "kernel/watch.py", "kernel/selftest.py", "kernel/commands.py", "kernel/files.py"),
]
"""The programs that build the sandbox: `python -I -S`, so the standard library and each other, nothing else."""
LAUNCHER_MODULES = {
    "trio_egress.kernel",
    *("trio_egress." + p.removesuffix(".py").replace("/", ".") for p in LAUNCHER),
}
ATTACKS = [f"attack/{name}.py" for name in ("tries", "network", "boundary", "places", "program")]
ATTACK_MODULES = {
    "trio_egress.kernel",
    "trio_egress.kernel.syscalls",
    *("trio_egress." + p.removesuffix(".py").replace("/", ".") for p in ATTACKS),
}
STANDALONE: dict[str, set[str]] = {
    **dict.fromkeys(LAUNCHER, LAUNCHER_MODULES),
    **dict.fromkeys(ATTACKS, ATTACK_MODULES),
    "demo/agent.py": set(),
    "integrations/python_worker.py": set(),
}
"""Programs that run where no library is, with what they may import beside the standard library."""

WORLD = {
    "asyncio",
    "multiprocessing",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
} | {
    "subprocess",
    "tempfile",
    "threading",
    "time",
}
"""What floor 1 never touches: it takes bytes and values, and is told the time."""

FILES = {"io", "os", "pathlib", "shutil"}
"""Of floor 1 only evidence may import these, to name and look at paths; it opens them in FILE_OPENERS alone."""

FILE_OPENERS = [
    *("evidence/journal.py", "evidence/packet.py", "evidence/container.py"),
    *("policy/presets.py", "policy/starter.py", "policy/suffixes.py"),
    "content/catalogue.py",
]
OPENING = {
    "open()",
    "os.open",
    "os.fdopen",
    "io.open",
    ".read_text",
    ".read_bytes",
    ".write_text",
    ".write_bytes",
}
AMBIENT = {".now", ".utcnow", ".today", "os.environ", "os.getenv", "os.urandom"}
"""Clock, environment, randomness: on floor 1 each is an argument."""


class Import(NamedTuple):
    """One import statement, in full dotted names."""

    target: str
    line: int


def read_sources() -> dict[str, str]:
    """Every module of the package: path below src/trio_egress → text."""
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def find_imports(path: str, source: str, modules: set[str]) -> Iterator[Import]:
    """Imports anywhere in the file: at the top, in functions, under TYPE_CHECKING, and by `import_module("…")`."""
    package = ["trio_egress", *Path(path).parts[:-1]]
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{origin}.{alias.name}"
                yield Import(full if full in modules else origin, node.lineno)
        elif (
            isinstance(node, ast.Call) and node.args and _called_name(node) in {"import_module", "__import__"}
        ):
            yield Import(_leading_text(node.args[0]), node.lineno)


def _called_name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _leading_text(node: ast.expr) -> str:
    """The constant text that an expression begins with: 'trio_egress.cli' of f"trio_egress.cli.{command}"."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text.rstrip(".")
        case _:
            return "?"


def name_module(path: str) -> str:
    parts = ["trio_egress", *Path(path).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def find_violations(sources: Mapping[str, str], modules: set[str]) -> list[str]:
    """`sources` is judged; `modules` are all that exist, to tell `from package import module` from a name."""
    found = []
    for path, source in sources.items():
        for imported in find_imports(path, source, modules):
            reason = judge_import(path, imported.target)
            if reason:
                found.append(f"{path}:{imported.line}: {imported.target}: {reason}")
        if FLOORS.get(folder_of(path)) in (0, 1):
            found += [f"{path}:{line}: {reason}" for line, reason in find_touches(path, source)]
    return found


def judge_import(path: str, target: str) -> str:
    """Why this file may not import that, or ''."""
    top, _, rest = target.partition(".")
    if path in STANDALONE and target not in STANDALONE[path] and top not in sys.stdlib_module_names:
        return "a program that runs without libraries imports the standard library only"
    if top == "trio_egress":
        return judge_floor(path, rest.partition(".")[0] or "__init__")
    if top in LIBRARIES:
        allowed = any(fnmatch(path, pattern) for pattern in LIBRARIES[top])
        return "" if allowed else f"{top} belongs to {', '.join(LIBRARIES[top])}"
    if top not in sys.stdlib_module_names:
        return "not a library that this project names (LIBRARIES)"
    return judge_standard_library(path, top)


def judge_floor(path: str, target: str) -> str:
    here = folder_of(path)
    if here not in FLOORS or target not in FLOORS:
        return f"{here if here not in FLOORS else target!r} stands on no floor (FLOORS)"
    if here == "__init__":
        return "" if target in PUBLIC else "the package itself looks its public names up lazily"
    if here == target:
        return ""
    if here == "evidence" and target not in ("errors", "values", "__init__"):
        return "evidence is an island: it imports errors and values only"
    if FLOORS[target] == FLOORS[here] == 0 or FLOORS[target] < FLOORS[here]:
        return ""
    if here == "__main__" and target == "cli":
        return ""
    return f"floor {FLOORS[here]} ({here}) may not import floor {FLOORS[target]} ({target})"


def judge_standard_library(path: str, top: str) -> str:
    if FLOORS.get(folder_of(path)) not in (0, 1):
        return ""
    if top in WORLD:
        return "floors 0 and 1 touch no socket, clock, process or randomness"
    if top in FILES and folder_of(path) != "evidence" and path not in FILE_OPENERS:
        return f"on floor 1 files are opened in {', '.join(FILE_OPENERS)} alone"
    return ""


def folder_of(path: str) -> str:
    return Path(Path(path).parts[0]).stem


def find_touches(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Where a module of floor 0 or 1 reaches for the world through a module that it may import."""
    for node in ast.walk(ast.parse(source, path)):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                names = {f"{name}()"}
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute):
                names = {f"{owner}.{attribute}", f".{attribute}"}
            case ast.Attribute(attr=attribute):
                names = {f".{attribute}"}
            case _:
                continue
        for name in names & AMBIENT:
            yield node.lineno, f"{name} on floor 1, where time, randomness and environment are arguments"
        for name in names & OPENING if path not in FILE_OPENERS else ():
            yield node.lineno, f"{name}: on floor 1 files are opened in {', '.join(FILE_OPENERS)} alone"


SOURCES = read_sources()
MODULES = {name_module(path) for path in SOURCES}


def test_imports_go_down_only_and_libraries_stay_in_their_files() -> None:
    assert find_violations(SOURCES, MODULES) == []


def test_each_library_is_used_where_it_is_allowed() -> None:
    used = {
        i.target.partition(".")[0]
        for path, text in SOURCES.items()
        for i in find_imports(path, text, MODULES)
    }
    assert set(LIBRARIES) - used == set()


def test_the_graph_is_read_at_all() -> None:
    edges = [imported for path, text in SOURCES.items() for imported in find_imports(path, text, MODULES)]
    assert len(SOURCES) > 40
    assert sum(imported.target.startswith("trio_egress.") for imported in edges) > 100


@pytest.mark.parametrize(
    ("path", "source", "reason"),
    [
        (
            "policy/engine.py",
            "from trio_egress.wire import sniff",
            "floor 1 (policy) may not import floor 1 (wire)",
        ),
        ("wire/sniff.py", "import trio_egress.policy.rule", "floor 1 (wire) may not import floor 1 (policy)"),
        (
            "content/streaming.py",
            "from trio_egress.evidence import sign",
            "may not import floor 1 (evidence)",
        ),
        ("evidence/chain.py", "from trio_egress.model import Attempt", "evidence is an island"),
        (
            "kernel/nft.py",
            "from trio_egress.proxy.gate import Gate",
            "floor 2 (kernel) may not import floor 4",
        ),
        ("recorder.py", "from trio_egress import runtime", "floor 3 (recorder) may not import floor 5"),
        ("model.py", "from trio_egress.policy import rule", "floor 0 (model) may not import floor 1"),
        (
            "proxy/gate.py",
            "def f():\n    from trio_egress.runtime import seal",
            "floor 4 (proxy) may not import",
        ),
        (
            "proxy/gate.py",
            "if TYPE_CHECKING:\n    import trio_egress.cli.main",
            "floor 4 (proxy) may not import",
        ),
        ("proxy/gate.py", "from ..runtime.seal import x", "floor 4 (proxy) may not import floor 5"),
        ("proxy/gate.py", "from .. import runtime", "floor 4 (proxy) may not import floor 5"),
        ("proxy/gate.py", 'import_module("trio_egress.cli.run")', "floor 4 (proxy) may not import floor 6"),
        (
            "proxy/gate.py",
            'importlib.import_module(f"trio_egress.cli.{x}")',
            "floor 4 (proxy) may not import floor 6",
        ),
        ("proxy/gate.py", "import_module(name)", "not a library that this project names"),
        ("__init__.py", "from trio_egress.runtime import sandbox", "lazily"),
        ("tools/thing.py", "import trio_egress.model", "stands on no floor"),
        ("kernel/nflog.py", "from pyroute2.netlink import nlmsg", "not a library that this project names"),
        ("evidence/chain.py", "import nacl.bindings", "nacl belongs to evidence/sign.py"),
        ("proxy/http.py", "import h11", "h11 belongs to wire/http1.py"),
        ("proxy/dns.py", "import dns.message", "not a library that this project names"),
        ("kernel/seccomp.py", "import ctypes", "ctypes belongs to kernel/syscalls.py"),
        ("kernel/launcher.py", "import ctypes", "ctypes belongs to kernel/syscalls.py"),
        ("runtime/spec.py", "import tomli", "tomli belongs to texts/toml_text.py"),
        ("kernel/apply.py", "import trio", "trio belongs to"),
        ("runtime/seal.py", "import requests", "not a library that this project names"),
        ("kernel/launcher.py", "import attrs", "imports the standard library only"),
        (
            "kernel/init.py",
            "from trio_egress.errors import SandboxError",
            "imports the standard library only",
        ),
        (
            "kernel/syscalls.py",
            "from trio_egress.kernel import seccomp",
            "imports the standard library only",
        ),
        ("demo/agent.py", "from trio_egress.errors import SandboxError", "imports the standard library only"),
        ("wire/dns.py", "import socket", "touch no socket"),
        ("policy/load.py", "import time", "touch no socket, clock"),
        ("policy/load.py", "from pathlib import Path", "files are opened in"),
        ("evidence/verify.py", "file = open('x', 'rb')", "open(): on floor 1 files are opened in"),
        ("evidence/verify.py", "fd = os.open('x', 0)", "os.open: on floor 1 files are opened in"),
        ("evidence/verify.py", "raw = (directory / 'x').read_bytes()", ".read_bytes: on floor 1 files"),
        ("evidence/receipt.py", "stamp = datetime.now(timezone.utc)", ".now on floor 1"),
        ("evidence/chain.py", "home = os.environ['HOME']", "os.environ on floor 1"),
        ("evidence/sign.py", "seed = os.urandom(32)", "os.urandom on floor 1"),
    ],
)
def test_a_forbidden_import_is_seen(path: str, source: str, reason: str) -> None:
    found = find_violations({path: source}, MODULES)
    assert len(found) == 1
    assert found[0].startswith(f"{path}:")
    assert reason in found[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("policy/engine.py", "from trio_egress.model import Attempt\nfrom .rule import Policy\nimport attrs"),
        (
            "evidence/verify.py",
            "from trio_egress.errors import EvidenceError\nfrom trio_egress import __version__",
        ),
        ("kernel/launcher.py", "import json\nfrom trio_egress.kernel import init, syscalls"),
        ("kernel/syscalls.py", "import ctypes"),
        ("evidence/packet.py", "import os\nwith open('x') as file: pass"),
        ("evidence/verify.py", "import os\nif os.path.isdir('x'): chain.open(1)"),
        ("__main__.py", "from trio_egress.cli.main import main"),
        ("proxy/http.py", "import trio, socket, time\nfrom trio_egress.wire import http1"),
    ],
)
def test_a_permitted_import_is_not(path: str, source: str) -> None:
    assert find_violations({path: source}, MODULES) == []


def test_launcher_programs_load_without_site_packages() -> None:
    program = (
        f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n"
        "from trio_egress.kernel import init, launcher, syscalls\n"
        "import json; print(json.dumps(sorted(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert "trio_egress" in loaded
    assert loaded - {"trio_egress", "__main__"} <= sys.stdlib_module_names | set(sys.builtin_module_names)


def test_the_package_itself_loads_nothing() -> None:
    program = "import sys; before = set(sys.modules); import trio_egress; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name for name in ran.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"trio_egress"}


def test_a_third_party_import_fails_without_site_packages() -> None:
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", "import attrs"], capture_output=True, check=False)
    assert b"ModuleNotFoundError" in ran.stderr


def test_launcher_runs_as_a_program_and_says_what_failed() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    plan = os.memfd_create("empty-plan")
    with ours, theirs:
        socket.send_fds(ours, [b'{"step": "plan", "group": []}'], [plan])
        ran = subprocess.run(
            [sys.executable, "-I", "-S", str(PACKAGE / LAUNCHER[0]), str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            capture_output=True,
            check=False,
        )
        os.close(plan)
        ours.settimeout(5)
        answer = json.loads(ours.recv(65536))
    assert answer["step"] == "failed"
    assert answer["message"].startswith("reading the plan")
    assert (ran.returncode, ran.stderr) == (1, b"")
