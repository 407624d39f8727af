"""Where `python -m bench` has its peers from: PATH, or the registries' own clients, into a directory of its own.

Nothing is installed on the machine: Debian's packages are unpacked, Python's and npm's have environments of their own.
What can't be had raises NotHad, whose text is the reason that the table gives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 600
"""The longest that one installation may take."""

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

DOWNLOAD = [
    *("apt-get", "install", "-qq", "--yes", "--no-install-recommends", "--reinstall", "--download-only"),
    *("-o", "Debug::NoLocking=true", "-o"),
]
"""A package and all that it needs and the machine hasn't; nothing is installed, and whoever may read may do it."""


class NotHad(Exception):
    """A peer that isn't run, with the reason."""


def find_cache() -> Path:
    """Where other users may look, as root: peers don't run as root."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = (Path("/var/cache") if os.geteuid() == 0 else own) / "trio-egress-bench"
    cache.mkdir(parents=True, exist_ok=True, mode=0o755)
    return cache


def find_debian(program: str, package: str, *, own: bool = False) -> Path:
    """A program of Debian's. `own`: of this very package, whatever the machine has."""
    found = None if own else shutil.which(program, path=PATH)
    if found:
        return Path(found)
    unpacked = unpack_debian(package)
    for folder in ("usr/bin", "usr/sbin", "bin", "sbin", "usr/lib/squid"):
        if (path := unpacked / folder / program).exists():
            return _with_libraries(path, unpacked)
    raise NotHad(f"Debian's {package} has no {program}")


def unpack_debian(package: str) -> Path:
    """The directory of a package, and of all that it needs and the machine hasn't."""
    unpacked = find_cache() / "debian" / package
    if not unpacked.is_dir():
        with tempfile.TemporaryDirectory(dir=find_cache()) as folder:
            _call([*DOWNLOAD, f"Dir::Cache::archives={folder}", package], folder, f"Debian's {package}")
            whole = Path(folder) / "whole"
            for file in Path(folder).glob("*.deb"):
                _call(["dpkg-deb", "-x", str(file), str(whole)], folder, f"Debian's {package}")
            whole.chmod(0o755)
            unpacked.parent.mkdir(exist_ok=True)
            whole.rename(unpacked)
    return unpacked


def _with_libraries(program: Path, unpacked: Path) -> Path:
    """The program, or what starts it with the libraries that were unpacked with it."""
    ran = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    if "not found" not in ran.stdout:
        return program
    folders = {path.parent for path in unpacked.rglob("*.so.*")}
    starter = unpacked / "with-libraries" / program.name
    starter.parent.mkdir(exist_ok=True, mode=0o755)
    path = ":".join(sorted(map(str, folders)))
    starter.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{path}" exec "{program}" "$@"\n')
    starter.chmod(0o755)
    return starter


def find_python(package: str, program: str) -> Path:
    """A program of a package of Python's, in an environment for this package alone."""
    place = find_cache() / "python" / package
    path = place / "bin" / program
    if not path.exists():
        _call([sys.executable, "-m", "venv", "--clear", str(place)], find_cache(), package)
        _call([str(place / "bin/python"), "-m", "pip", "install", "--quiet", package], find_cache(), package)
    if not path.exists():
        raise NotHad(f"{package} has no {program}")
    return path


def find_npm(package: str) -> Path:
    """The directory of a package of npm's."""
    place = find_cache() / "npm"
    place.mkdir(exist_ok=True)
    path = place / "node_modules" / package
    if not path.is_dir():
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts", package]
        _call([*command, "--prefix", str(place)], place, package)
    return path


def _call(command: list[str], place: Path | str, what: str) -> None:
    try:
        ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotHad(f"{what} can't be installed: {error}") from None
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no word"])[-1]
        raise NotHad(f"{what} can't be installed: {last[:200]}")
