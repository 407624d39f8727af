"""A sandbox is one as Inspect AI means it: its own suite of claims, whole but for the one that is said below.

`test_exec_as_user` makes a user as root, and runs a command as that user: in a sandbox nobody is root, and nobody but
the agent is there. It is refused by the word that Inspect has for that, here as by its own provider `local`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from inspect_ai.util import SandboxEnvironment, SandboxUserUnsupportedError
from inspect_ai.util._sandbox import self_check
from tests.runs.launch import Place, write_policy

from trio_egress.integrations.inspect_ai import EgressConfig, EgressEnvironment

pytestmark = [pytest.mark.sandbox, pytest.mark.anyio]

globals().update({name: getattr(self_check, name) for name in self_check.__all__})


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def sandbox_env(
    place: Place, anyio_backend: str, request: pytest.FixtureRequest
) -> AsyncIterator[SandboxEnvironment]:
    if request.node.originalname == "test_exec_as_user":
        request.applymarker(pytest.mark.xfail(raises=SandboxUserUnsupportedError, strict=True))
    policy = place.write("egress.toml", write_policy("api.example.com"))
    config = EgressConfig(policy=str(policy), evidence_in=str(place.work))
    environments = await EgressEnvironment.sample_init("task", config, {})
    yield environments["default"]
    await EgressEnvironment.sample_cleanup("task", config, environments, False)
