"""To wait in asyncio for a call that blocks: in a thread of its own, so that no pool of threads can be full."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from trio_egress.library.commands import Job

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


async def in_thread(call: Callable[[Job], T], job: Job) -> T:
    """Its value. Cancelled, it gives the job up, waits for the call's end, and then the cancellation goes on."""
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_work, args=(call, job, loop, done), daemon=True).start()
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait({done})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
            job.give_up()
    if cancelled is not None:
        done.exception()  # it was taken note of
        raise cancelled
    return done.result()


def _work(
    call: Callable[[Job], T], job: Job, loop: asyncio.AbstractEventLoop, done: asyncio.Future[T]
) -> None:
    try:
        value = call(job)
    except BaseException as error:
        tell = partial(done.set_exception, error)
    else:
        tell = partial(done.set_result, value)
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(tell)
