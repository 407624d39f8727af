"""When a program of ours looks for garbage: not while modules are loaded, where there is none, and not as it ends.

Collecting took an eighth of the time that a run's modules take to load, and more than all the rest of leaving; taking
600 modules apart at the end takes 7 ms.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading


def hold_collecting() -> None:
    """Until `start_collecting`. For a process that is ours alone."""
    gc.disable()


def start_collecting() -> None:
    """All is loaded: what is there now stays and is never looked at again. Does nothing where nothing was held."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def leave_all(code: int) -> int:
    """End the process at once: what registered for its end is called, and nothing is taken apart that goes with it.

    Returns where that can't be: a thread that nobody waits for may have something left to do.
    """
    gc.disable()
    gc.freeze()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return code
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)
