"""These tests want the frameworks themselves: `nox -s integrations` installs them, and they run nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.runs.launch import Place

collect_ignore_glob = [] if os.environ.get("WITH_FRAMEWORKS") else ["test_*.py"]


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()
