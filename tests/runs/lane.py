"""A program: many runs one after the other, each in a process of its own, forked from this one, which has loaded all.

    python lane.py COUNT MOST FOLDER NAME SCRIPT

SCRIPT is what the agent's bash does; it must end with 3, and deny something. MOST is how many namespaces of each kind
there may be at any time (`/proc/sys/user`, `man 7 namespaces`); 0 for as many as the machine allows. The kernel
itself holds that, so namespaces that stay behind would soon leave no room for the next run.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

VERIFIED = 25
"""Every so many runs the packet is verified here too; each run does it itself, and says so by its status."""

CLONE_NEWUSER = 0x10000000
KINDS = ("user", "pid", "uts", "ipc", "net", "mnt", "cgroup")


def main() -> int:
    count, most, folder, name, script = sys.argv[1:]
    if most != "0":
        return run_limited(int(most), [sys.executable, __file__, count, "0", folder, name, script])
    place = Path(folder)
    evidence = place / f"evidence-{name}"
    options = [
        "--quiet",
        "--policy",
        f"{place}/policy.toml",
        "--key",
        f"{place}/key",
        "--evidence",
        str(evidence),
    ]
    command = ["run", *options, "--", "bash", "-c", script]
    import trio_egress.runtime.supervisor  # noqa: F401  now, and in no run
    from trio_egress.cli.main import main

    for number in range(int(count)):
        child = os.fork()
        if child == 0:
            os._exit(main(command))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 3:
            sys.exit(f"run {number} ended with {code}")
        if number % VERIFIED == 0:
            assert_whole(evidence, (place / "key.pub").read_text())
        shutil.rmtree(evidence)
    return 0


def assert_whole(evidence: Path, key: str) -> None:
    from trio_egress.evidence.verify import verify

    report = verify(evidence, [key])
    if report.exit_code != 0 or b'"verdict":"block"' not in (evidence / "evidence.jsonl").read_bytes():
        sys.exit(f"{evidence}: {report}")


def run_limited(most: int, command: list[str]) -> int:
    """Run it with the same ids in a user namespace that may hold `most` namespaces of each kind."""
    unshared, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "unshare")
        os.write(unshared[1], b"x")
        os.read(mapped[0], 1)
        for kind in KINDS:
            Path(f"/proc/sys/user/max_{kind}_namespaces").write_text(str(most))
        os.execv(command[0], command)
    os.read(unshared[0], 1)
    uid, gid = os.geteuid(), os.getegid()
    if uid:
        Path(f"/proc/{child}/setgroups").write_text("deny")
    for kind, own in (("uid", uid), ("gid", gid)):
        Path(f"/proc/{child}/{kind}_map").write_text(f"{own} {own} 1" if uid else "0 0 4294967295")
    os.write(mapped[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
