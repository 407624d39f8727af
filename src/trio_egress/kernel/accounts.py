"""What an account may become on this machine: its groups, and whether it is as good as root. Asks, and changes nothing.

Rule 1: what can't be told is not held against anybody: no answer is no power.
"""

from __future__ import annotations

import grp
import os
import subprocess

POWERFUL_GROUPS = ("sudo", "wheel", "admin", "docker", "lxd", "incus", "disk", "shadow")
"""Groups that lead to root by themselves wherever they are used as usual."""

ANSWER_SECONDS = 5.0
"""sudo may ask a directory service."""

_MAY = "may run the following commands"


def list_groups(name: str, gid: int) -> set[int]:
    """Every group of an account. The ids of a run have none but their first, but who logs in has them all."""
    try:
        return {gid, *os.getgrouplist(name, gid)}
    except OSError:
        return {gid}


def find_power(name: str, gid: int) -> str:
    """Why this account is as good as root; empty where it is not, as far as can be told. Asked by root."""
    groups = {_name(number) for number in list_groups(name, gid)}
    for group in POWERFUL_GROUPS:
        if group in groups:
            return f"{name} is in the group {group}"
    return f"{name} may use sudo" if _may_use_sudo(name) else ""


def _name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def _may_use_sudo(name: str) -> bool:
    """sudo itself reads sudoers best: aliases, includes, host names, LDAP. Its exit code is 0 either way."""
    try:
        asked = subprocess.run(
            ["sudo", "-n", "-l", "-U", name],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=ANSWER_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return _MAY in asked.stdout.decode("utf-8", "replace")
