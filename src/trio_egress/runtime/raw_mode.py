"""The settings of a terminal whose keys come as they are typed, and mean nothing to it."""

from __future__ import annotations

import termios
from typing import Any


def make_raw(settings: list[Any], *, plain: bool) -> list[Any]:
    """cfmakeraw (`man 3 termios`); without `plain` output stays as it was: others of a pipeline write here, too."""
    iflag, oflag, cflag, lflag, *speeds, controls = settings
    iflag &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    if plain:
        oflag &= ~termios.OPOST
    controls = [*controls]
    controls[termios.VMIN], controls[termios.VTIME] = 1, 0
    return [iflag, oflag, cflag, lflag, *speeds, controls]
