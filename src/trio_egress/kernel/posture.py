"""What the probes inside must have answered, and the posture that their answers make.

Pure: answers in, wrong ones out. A sandbox with one wrong answer never runs an agent.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

DENIED = "denied:"

EXPECTED: Mapping[str, str] = {
    "capabilities": "0,0,0,0,0",
    "no_new_privs": "1",
    "seccomp": "2",
    "uid_zero": "absent",
    "descriptors": "0",
    "interfaces": "lo",
    "host_unix_path": "hidden",
    "docker_socket": "hidden",
    "hidden": "hidden",
    **dict.fromkeys(
        (
            *("host_loopback", "host_unix_abstract"),
            *("udp", "udp_ipv6", "quic", "broadcast", "icmp"),
            *("raw_socket", "raw_socket_ipv6", "packet_socket", "vsock", "netfilter"),
            *("user_namespace", "network_namespace", "mount", "unmount"),
            *("ptrace", "process_vm_readv", "io_uring", "bpf", "perf_event_open", "keyctl"),
            *("terminal_injection", "memory_of_pid_1", "root_of_pid_1", "host_write"),
        ),
        DENIED,
    ),
}
"""By probe: the exact answer, or DENIED for any refusal."""

BY_SECCOMP = frozenset(
    ("ptrace", "process_vm_readv", "io_uring", "bpf", "perf_event_open", "keyctl", "terminal_injection")
)
"""Probes that something else could refuse too: only EPERM shows that the filter did."""

REFUSED_CALLS, NOTIFIED, UNSUPPORTED = "refused_calls", "notified", "unsupported:"
"""Whether PID 1 is told of what the filter refuses, so that it gets a receipt; it is refused in either case."""

MOST_PROCESSES = 2
"""PID 1 and the probe itself."""


@attrs.frozen
class Wrong:
    """A probe whose answer is not what it must be."""

    probe: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.probe}: {self.found}, expected {self.expected}"


def find_wrong(answers: Mapping[str, str]) -> tuple[Wrong, ...]:
    """Every answer that must stop the run; a missing one is wrong too."""
    wrong = []
    for probe, expected in EXPECTED.items():
        found = answers.get(probe, "no answer")
        if probe in BY_SECCOMP:
            expected = "denied:EPERM"
        if not (found.startswith(DENIED) if expected == DENIED else found == expected):
            wrong.append(Wrong(probe, found, "a refusal" if expected == DENIED else expected))
    processes = answers.get("processes", "")
    if not processes.isdigit() or int(processes) > MOST_PROCESSES:
        wrong.append(Wrong("processes", processes or "no answer", f"at most {MOST_PROCESSES}"))
    refused = answers.get(REFUSED_CALLS, "no answer")
    if refused != NOTIFIED and not refused.startswith(UNSUPPORTED):
        wrong.append(Wrong(REFUSED_CALLS, refused, f"{NOTIFIED}, or {UNSUPPORTED} with the reason"))
    return tuple(wrong)
