"""An agent in whose working directory this program is installed: it can't change what runs outside the sandbox."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, ENVIRONMENT, Place, write_policy

import trio_egress

pytestmark = pytest.mark.sandbox

PACKAGES = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
ALONE = {"PYTHONPATH": ""}


class Installed(Place):
    """A place whose runs are started by an installation of its own, below the agent's working directory."""

    def __init__(self) -> None:
        super().__init__()
        self.environment = self.work / ".venv"
        make = [sys.executable, "-m", "venv", "--without-pip", str(self.environment)]
        subprocess.run(make, check=True, timeout=120)
        self.packages = self.environment / PACKAGES
        (self.packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        self.install(self.packages)

    def install(self, folder: Path) -> None:
        source = Path(trio_egress.__file__).parent
        shutil.copytree(source, folder / "trio_egress", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (self.work, *self.work.rglob("*")):
            os.chown(path, AGENT.pw_uid, AGENT.pw_gid, follow_symlinks=False)

    def program(self, command: str, number: int) -> list[str]:
        return [str(self.environment / "bin/python"), *super().program(command, number)[1:]]

    def say_version(self) -> str:
        """What the next command says."""
        command = [str(self.environment / "bin/python"), "-m", "trio_egress", "--version"]
        environment = {**ENVIRONMENT, **ALONE}
        ran = subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, check=True, timeout=60
        )
        return ran.stdout


@pytest.fixture
def place() -> Iterator[Installed]:
    made = Installed()
    yield made
    made.close()


def tries(*commands: str) -> tuple[str, ...]:
    """An agent that tries each, and says which went well."""
    lines = [
        f"if ( {command} ) 2>/dev/null; then echo done {number}; fi"
        for number, command in enumerate(commands)
    ]
    return ("bash", "-c", "\n".join(lines))


def plant(folder: str) -> str:
    return f"echo \"print('planted')\" >>{folder}/trio_egress/__init__.py"


def attacks(folder: str) -> tuple[str, ...]:
    return (
        plant(folder),
        f"echo x >{folder}/x.pth",
        f"rm {folder}/trio_egress/evidence/report.py",
        f"mv {folder} {folder}.moved",
        f"mkdir {folder}/trio_egress/evidence/more",
    )


def test_what_it_is_loaded_from_is_read_only(place: Installed) -> None:
    more = ("echo x >>.venv/pyvenv.cfg", "echo x >.venv/bin/python3", "mv .venv v", "echo x >mine")
    ended = place.run(write_policy(), *tries(*attacks(f".venv/{PACKAGES}"), *more), environment=ALONE)
    assert (ended.text, (place.work / "mine").read_text()) == ("done 8\n", "x\n")
    assert "planted" not in place.say_version()
    assert "read-only for the agent, since trio-egress is loaded from there: .venv\n" in ended.err
    assert "THE AGENT CAN CHANGE" not in ended.err
    assert (ended.status["message"], ended.verify()) == ("", 0)


def test_its_code_runs_outside_where_another_installation_started_the_run(place: Installed) -> None:
    # The control: the same file is the agent's to write, and acts at the next command.
    other = Place()
    try:
        ended = other.run(write_policy(), *tries(plant(f".venv/{PACKAGES}")), cwd=place.work)
    finally:
        other.close()
    assert ended.text == "done 0\n"
    assert "planted" in place.say_version()


def test_a_source_tree_is_read_only_too_and_the_code_of_others_is_told(place: Installed) -> None:
    shutil.rmtree(place.packages / "trio_egress")
    for name in ("src", "project"):
        (place.work / name).mkdir()
    place.install(place.work / "src")
    (place.packages / "editable.pth").write_text(f"{place.work}/src\n{place.work}/project\n")
    ended = place.run(write_policy(), *tries(*attacks("src"), "echo x >project/x.py"), environment=ALONE)
    assert ended.text == "done 5\n"
    told = re.findall("(?:loaded from there: |loaded from )(/?[^ ,\n]+)", ended.err)
    assert told == [".venv", "src", f"{place.work}/project"]


def test_an_environment_that_is_the_working_directory_itself(place: Installed) -> None:
    more = ("echo x >>pyvenv.cfg", "mv bin b", "echo x >mine")
    ended = place.run(
        write_policy(), *tries(*attacks(PACKAGES), *more), environment=ALONE, cwd=place.environment
    )
    assert ended.text == "done 7\n"
    assert "planted" not in place.say_version()


def test_a_link_to_it_could_be_replaced_and_is_told(place: Installed) -> None:
    place.environment.rename(place.path / "elsewhere")
    place.environment.symlink_to(place.path / "elsewhere")
    ended = place.run(write_policy(), "true", environment=ALONE)
    told = f"THE AGENT CAN CHANGE TRIO-EGRESS ITSELF: modules are loaded from {place.environment},"
    assert told in ended.err
