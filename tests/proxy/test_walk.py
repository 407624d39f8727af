"""The walk of one connection in docs/architecture.md, held against the calls of a real one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from tests.proxy.conftest import script
from tests.proxy.test_http import GET, HOST, OK, RULE, ask

import trio_egress

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams

PAGE = Path(__file__).parents[2] / "docs/architecture.md"
PACKAGE = Path(trio_egress.__file__).parent
STEP = re.compile(r"^\d+\. `([a-z_0-9/]+\.py)`: `(\w+)`", re.MULTILINE)


async def test_the_walk_names_what_is_called_in_this_order(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    called: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)):
            called.setdefault((str(Path(code.co_filename).relative_to(PACKAGE)), code.co_name))

    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        sys.setprofile(note)
        try:
            assert await ask(world, GET) == OK
        finally:
            sys.setprofile(None)
    _, _, walk = PAGE.read_text("utf-8").partition("\n### The walk of one\n")
    steps = STEP.findall(walk.partition("\n## ")[0])
    assert len(steps) > 10
    assert [step for step in steps if step not in called] == []
    order = list(called)
    assert steps == sorted(steps, key=order.index)
