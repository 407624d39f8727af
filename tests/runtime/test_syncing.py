"""Several files at once, and each of them tried."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_egress.runtime.syncing import AT_ONCE, sync_together


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, 5 * AT_ONCE + 1])
def test_any_number_of_files_is_synced(tmp_path: Path, count: int) -> None:
    fds = [os.open(tmp_path / f"{number}", os.O_WRONLY | os.O_CREAT) for number in range(count)]
    sync_together(fds)
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("place", range(2 * AT_ONCE))
def test_one_that_fails_fails_all(tmp_path: Path, place: int) -> None:
    fds = [os.open(tmp_path / f"{number}", os.O_WRONLY | os.O_CREAT) for number in range(2 * AT_ONCE)]
    reader, writer = os.pipe()  # which fsync refuses
    with pytest.raises(OSError, match="Invalid argument"):
        sync_together([*fds[:place], reader, *fds[place:]])
    for fd in (*fds, reader, writer):
        os.close(fd)
