"""Programs that no one here wrote, for the tests of formats that others read too."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.evidence.golang import build
from tests.evidence.npm_sigstore import install


@pytest.fixture(scope="session")
def go_tlog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's readers of notes and trees."""
    return build(tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="session")
def sigstore_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sigstore's verifier for JavaScript."""
    return install(tmp_path_factory.mktemp("sigstore"))
