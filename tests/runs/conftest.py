"""A place to run in that lives as long as its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.runs.launch import Place


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()
