"""The servers, as long as the session."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.proxy.differential.servers import OPENERS, Server


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="trio-egress-"))
        stack.callback(shutil.rmtree, place)
        yield {name: stack.enter_context(opener(place)) for name, opener in OPENERS.items()}
