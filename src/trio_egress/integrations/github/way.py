"""How the sandbox can be had on this runner: as the runner's own user, or by sudo where that is forbidden.

Rule 1: without root wherever that works; what forbids it is said, and so is what is done about it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from trio_egress.errors import SandboxError
from trio_egress.kernel.probe import Probe, probe_all
from trio_egress.values import frozen

KEPT = ("PATH", "LD_LIBRARY_PATH")
"""Variables that sudo sets anew or takes away, whatever it is asked for."""


@frozen
class Way:
    """`prefix`: what goes before the command. `words`: for people."""

    words: str
    prefix: tuple[str, ...] = ()

    @property
    def by_sudo(self) -> bool:
        return bool(self.prefix)


def find_way(environment: Mapping[str, str]) -> Way:
    """Raises SandboxError where there is none, with the doctor's cures."""
    if os.geteuid() == 0:
        return Way("as root, which the run gives up")
    failed = [probe for probe in probe_all() if probe.status == "fail"]
    if not failed:
        return Way("as this user, without root")
    found = "; ".join(f"{probe.name}: {probe.found}" for probe in failed)
    if not _has_sudo():
        raise SandboxError(
            f"no sandbox can be had here. {found}. sudo asks for a password, or is not there\n{_cure(failed)}"
        )
    kept = [f"{name}={environment[name]}" for name in KEPT if environment.get(name)]
    return Way(
        f"by sudo, as it can't be had without root ({found})", ("sudo", "-n", "-E", "--", "env", *kept)
    )


def _has_sudo() -> bool:
    try:
        tried = subprocess.run(
            ["sudo", "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return tried.returncode == 0


def _cure(failed: Sequence[Probe]) -> str:
    return "\n".join(dict.fromkeys(probe.cure for probe in failed if probe.cure))
