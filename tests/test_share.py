"""What the wheel puts below `share/`: real shells complete with it, and groff sets the man page without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def load_hook() -> Any:
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Each text in a file of its own, as it is installed."""
    folder = tmp_path_factory.mktemp("share")
    hook = load_hook()
    for kind, text in hook.render_all().items():
        path = folder / hook.PLACES[kind]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {kind: folder / place for kind, place in hook.PLACES.items()}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("trio-egress ve", {"verify"}),
        ("trio-egress policy ex", {"explain"}),
        ("trio-egress run --ti", {"--timeout"}),
        ("trio-egress policy import --from harden", {"harden-runner"}),
    ],
)
def test_bash_completes(share: Mapping[str, Path], typed: str, offered: set[str]) -> None:
    words = " ".join(f"'{word}'" for word in typed.split())
    script = (
        f"source {share['bash']}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '_shtab_trio_egress; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = run("bash", "-c", script)
    assert set(ran.stdout.split()) == offered, ran.stderr


@pytest.mark.programs
def test_zsh_loads_its_completion(share: Mapping[str, Path]) -> None:
    folder = share["zsh"].parent
    script = f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; print ${{_comps[trio-egress]}}"
    ran = run("zsh", "-f", "-c", script)
    assert (ran.stdout.strip(), ran.stderr) == ("_trio-egress", "")
    assert run("zsh", "-n", share["zsh"]).returncode == 0


@pytest.mark.programs
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("trio-egress ve", {"verify"}),
        ("trio-egress policy ex", {"explain"}),
        ("trio-egress run --ti", {"--timeout"}),
        ("trio-egress policy import --from harden", {"harden-runner"}),
    ],
)
def test_fish_completes(share: Mapping[str, Path], typed: str, offered: set[str]) -> None:
    ran = run("fish", "--no-config", "-c", f"source {share['fish']}; complete -C '{typed}'")
    assert {line.partition("\t")[0] for line in ran.stdout.splitlines()} == offered, ran.stderr


@pytest.mark.programs
@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("man", ("trio-egress - run an AI agent", "--timeout SECONDS", "keygen")),
        ("man-run", ("trio-egress-run - ", "--timeout SECONDS", "124 --timeout was over")),
        ("man-verify", ("trio-egress-verify - ", "--public-key", "1 invalid: at least one finding")),
        ("man-policy", ("trio-egress-policy - check", "explain", "--suggest", "import", "64 usage")),
        ("man-keys", ("trio-egress-keys - a roster", "revoke", "--valid-until", "rotate", "fingerprint")),
    ],
)
def test_a_man_page_is_set_without_a_warning(
    share: Mapping[str, Path], page: str, words: tuple[str, ...]
) -> None:
    ran = run("groff", "-man", "-ww", "-Wbreak", "-Tascii", "-P-c", share[page])
    assert (ran.returncode, ran.stderr) == (0, "")
    shown = " ".join(re.sub(".\b", "", ran.stdout).split())
    assert ".B " not in shown  # a request that is shown as text
    assert [word for word in words if word not in shown] == []


def test_the_same_bytes_every_time() -> None:
    hook = load_hook()
    assert hook.render_all() == hook.render_all()
