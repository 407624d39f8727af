"""What of this program an agent could write, as paths: what is kept from it, and what is only told."""

from __future__ import annotations

import site
import sys
from pathlib import Path

import pytest

import trio_egress
from trio_egress.runtime.own import Own, find_own


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an environment that this interpreter says it is in."""
    for folder in (".venv/lib/site-packages", ".venv/bin", "src", "bin", "py/lib"):
        (tmp_path / "work" / folder).mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "work/.venv"))
    monkeypatch.setattr(
        sys, "path", ["", str(tmp_path / "work"), str(tmp_path / "work/.venv/lib/site-packages")]
    )
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_an_environment_is_kept_and_the_working_directory_is_no_news(work: Path) -> None:
    assert find_own(str(work), ()) == Own((str(work / ".venv"),), ())
    assert find_own(str(work / "src"), [str(work)]) == Own((str(work / ".venv"),), (str(work),))
    assert find_own(str(work / "src"), ()) == Own((), ())


def test_what_is_reached_by_another_directory_is_found_there(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", str(work / "py"))
    monkeypatch.setattr(sys, "argv", [str(work / "bin/tool")])
    (work / "bin/tool").touch()
    places = [str(work / name) for name in ("py", "bin", ".venv/lib")]
    kept = (f"{work}/.venv/lib/site-packages",)
    assert find_own(str(work / "src"), places) == Own((f"{work}/bin/tool", f"{work}/py/lib"), kept)


def test_code_of_others_a_link_and_a_wildcard_are_told(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(work / "src"), str(work / "none")])
    (work / "w*").mkdir()
    (work / "link").symlink_to(work.parent)
    for name in ("w*", "link"):
        monkeypatch.setattr(sys, "prefix", str(work / name))
        assert find_own(str(work), ()) == Own(
            (), tuple(sorted([f"{work}/{name}", f"{work}/none", f"{work}/src"]))
        )


def test_where_modules_would_be_is_told_before_it_is_there(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent could make it, and what is in it runs with the next command: the user's own modules, too."""
    monkeypatch.setattr(sys, "path", [str(work / "plugins")])
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "getusersitepackages", lambda: f"{work}/local/lib/site-packages")
    assert find_own(str(work), ()).reached == (f"{work}/local/lib/site-packages", f"{work}/plugins")
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    assert find_own(str(work), ()).reached == (f"{work}/plugins",)


def test_a_directory_that_has_the_interpreter_is_told(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't be mounted read-only where it is what shall be written, and a link in it can be replaced."""
    monkeypatch.setattr(sys, "executable", str(work / ".venv/bin/python"))
    assert find_own(str(work / "src"), [str(work / ".venv/bin")]).reached == (f"{work}/.venv/bin",)
    assert find_own(str(work / ".venv/bin"), ()).reached == (f"{work}/.venv/bin",)


def test_the_package_is_kept_with_what_it_is_in_and_an_agent_inside_it_is_told() -> None:
    package = Path(trio_egress.__file__).resolve().parent
    assert str(package.parent) in find_own(str(package.parent.parent), ()).kept
    assert str(package) in find_own(str(package.parent), ()).kept
    for folder in (package.parent, package, package / "evidence"):
        assert str(folder) in find_own(str(folder), ()).reached


def test_where_the_agent_has_a_directory_of_its_own_nothing_is_kept() -> None:
    assert find_own("/", ["/run"]) == Own((), ())
