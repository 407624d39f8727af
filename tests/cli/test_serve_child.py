"""What the supervisor of a client takes for granted of its account: nothing that the client can change."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_egress.cli.serve_child import _find_home

STRANGER = 54_321


@pytest.fixture
def ground() -> Iterator[Path]:
    """Where nobody but root can put anything in the way."""
    path = Path(tempfile.mkdtemp(dir="/srv"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.root  # an ordinary user's serve mounts with that user's rights
def test_a_home_that_somebody_could_replace_is_none(ground: Path) -> None:
    for name in ("fine", "owned", "shared"):
        (ground / name / "home").mkdir(parents=True)
        os.chown(ground / name / "home", STRANGER, STRANGER)
    os.chown(ground / "owned", STRANGER, STRANGER)
    (ground / "shared").chmod(0o1777)  # the sticky bit keeps what is others', and this is the client's
    (ground / "link").symlink_to(ground / "fine")
    assert _find_home(str(ground / "fine" / "home")) == str(ground / "fine" / "home")
    assert _find_home(str(ground / "link" / "home")) == str(ground / "fine" / "home"), "where the link leads"
    assert _find_home(str(ground / "owned" / "home")) == ""
    assert _find_home(str(ground / "shared" / "home")) == ""
    assert _find_home(str(ground / "missing")) == ""
