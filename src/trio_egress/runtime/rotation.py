"""Another key for a run that lives: the one that it was given for that, once, when it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

from trio_egress.evidence.sign import Signer
from trio_egress.recorder import Recorder


async def keep_key(next_key: Signer | None, recorder: Recorder, requests: AsyncIterator[None]) -> None:
    """Change to `next_key` at the first request; a receipt answers each."""
    async for _ in requests:
        if next_key is None:
            recorder.refuse_key(
                "the key was not changed: the run has no other (--rotate-key-to, and only once)"
            )
        else:
            recorder.change_key(next_key)
            next_key = None
