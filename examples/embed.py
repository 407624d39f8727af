"""Run a command from Python, and act on what it was denied: python3 embed.py POLICY COMMAND [ARG ...]"""

from __future__ import annotations

import sys
from collections import Counter

import trio_egress as te


def main(policy: str, command: list[str]) -> int:
    try:
        done = te.run(command, policy=policy, timeout=600, max_output=1 << 20)
    except te.PolicyError as error:
        for problem in error.problems:
            print(f"{problem.file}:{problem.line}: {problem.message}")
        return 125
    except te.TrioEgressError as error:
        print(error)
        return 125
    sys.stdout.write(done.stdout.decode(errors="replace"))
    hosts = Counter(denied.host or denied.target for denied in done.denied)
    for host, count in hosts.most_common():
        print(f"denied: {host}, {count} times")
    print(f"{done.verdict.value}: {done.packet.path}")
    return 1 if done.returncode is None else abs(done.returncode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
