"""Servers that live as long as the session, and a place to run in that lives as long as its test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.servers import Web, open_web
from tests.runs.launch import SEEN, Place


@pytest.fixture(scope="session")
def servers_place() -> Iterator[Path]:
    """A directory that every user can enter."""
    path = Path(tempfile.mkdtemp(prefix="trio-egress-servers-", dir=SEEN))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def one_web(servers_place: Path) -> Iterator[Web]:
    with open_web(servers_place) as web:
        yield web


@pytest.fixture
def web(one_web: Web) -> Web:
    """The session's nginx, its log empty."""
    one_web.take_requests()
    return one_web


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()
