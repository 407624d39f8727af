"""Container engines and sudo inside: they end at once, and say why."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.runs.launch import Place, write_policy

pytestmark = pytest.mark.sandbox

MESSAGE = "trio-egress: there is no container engine inside the sandbox"


def install(folder: Path, name: str) -> Path:
    """A program that says its own name."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho this is {name}\n")
    (folder / name).chmod(0o755)
    return folder / name


def path(*folders: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]])}


@pytest.mark.parametrize("name", ["docker", "podman", "nerdctl"])
def test_a_container_engine_says_why_it_cannot_work(place: Place, name: str) -> None:
    engine = install(place.path / "bin", name)
    ended = place.run(write_policy(), "sh", "-c", f"{name} run image", environment=path(engine.parent))
    assert (ended.code, ended.text) == (125, "")
    assert f"{name}: {MESSAGE}" in ended.err
    by_path = place.run(write_policy(), engine, "ps", environment=path(engine.parent))
    assert by_path.code == 125
    assert engine.read_text().endswith(f"echo this is {name}\n")


def test_a_link_to_an_engine_is_covered_where_it_leads(place: Place) -> None:
    install(place.path / "opt", "podman")
    (place.path / "bin").mkdir()
    (place.path / "bin/docker").symlink_to("../opt/podman")
    ended = place.run(write_policy(), "docker", "ps", environment=path(place.path / "bin"))
    assert (ended.code, ended.text) == (125, "")
    assert f"docker: {MESSAGE}" in ended.err


def test_a_program_of_another_name_is_left_alone(place: Place) -> None:
    install(place.path / "bin", "starter")
    (place.path / "bin/docker").symlink_to("starter")
    ended = place.run(write_policy(), "docker", "ps", environment=path(place.path / "bin"))
    assert (ended.code, ended.text) == (0, "this is starter\n")


def test_an_engine_in_the_working_directory_is_the_agents_own(place: Place) -> None:
    engine = install(place.work, "docker")
    ended = place.run(
        write_policy(), "sh", "-c", "docker ps && echo x >docker", environment=path(engine.parent)
    )
    assert ended.text == "this is docker\n"


if shutil.which("docker"):  # the others here bring an engine of their own

    def test_the_docker_of_this_machine_says_why(place: Place) -> None:
        ended = place.run(write_policy(), "docker", "ps")
        assert (ended.code, ended.text) == (125, "")
        assert f"docker: {MESSAGE}" in ended.err


@pytest.mark.parametrize("command", ["sudo -n true", "su -c true </dev/null"])
def test_what_makes_others_of_people_fails_and_speaks(place: Place, command: str) -> None:
    ended = place.run(write_policy(), "sh", "-c", command)
    assert ended.code not in (0, 125)
    assert len(ended.err.splitlines()) > 3  # ours, and what it says itself
