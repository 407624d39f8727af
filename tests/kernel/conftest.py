from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.kernel.namespace import Namespace, Network, open_namespace, open_network


@pytest.fixture
def space() -> Iterator[Namespace]:
    with open_namespace() as space:
        yield space


@pytest.fixture
def network(space: Namespace) -> Iterator[Network]:
    with open_network(space) as network:
        yield network
