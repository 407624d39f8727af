"""Other keys for a run that lives: those that it was given for that, each once and in order, when one is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from trio_egress.evidence.sign import Signer
from trio_egress.recorder import Recorder


async def keep_key(next_keys: Sequence[Signer], recorder: Recorder, requests: AsyncIterator[None]) -> None:
    """Change to the next of them at each request; a receipt answers each."""
    waiting = iter(next_keys)
    async for _ in requests:
        key = next(waiting, None)
        if key is None:
            recorder.refuse_key("the key was not changed: the run has no other (--rotate-key-to, each once)")
        else:
            recorder.change_key(key)
