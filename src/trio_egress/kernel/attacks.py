"""Every attack that trio-egress makes on its own boundary, in one table: at each start, and by `doctor --attack`.

Pure: names, words and what must come of each. How they are tried is in `kernel/selftest.py` (at each start, in
milliseconds) and in `attack/` (the longer ones, for a person).
"""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.values import frozen

DENIED = "denied:"
HIDDEN = "hidden"


@frozen
class Attack:
    """One row. `tried`: in words for a person. `expected`: the exact answer, or DENIED for any refusal.

    `at_start`: tried before and after each run; else by the doctor alone. `by_filter`: something else could refuse it
    too, and only EPERM shows that the system call filter did. `control`: the doctor also tries it outside, as the
    agent's user, where it harms nobody: there it works, or the row says that it does not.
    """

    name: str
    tried: str
    expected: str = DENIED
    at_start: bool = False
    by_filter: bool = False
    control: bool = False


def _at_start(name: str, tried: str, expected: str = DENIED, **more: bool) -> Attack:
    return Attack(name, tried, expected, at_start=True, **more)


ATTACKS: tuple[Attack, ...] = (
    # rights
    _at_start("capabilities", "have any capability, in any of the five sets", "0,0,0,0,0"),
    _at_start("no_new_privs", "gain rights by running a program", "1"),
    _at_start("seccomp", "make system calls without a filter", "2"),
    _at_start("uid_zero", "be root, or have a group of root", "absent"),
    Attack("set_id_programs", "gain rights by sudo, su, mount and their like", control=True),
    # what was inherited, and what is around
    _at_start("descriptors", "use descriptors that were left open", "0"),
    _at_start("processes", "see other processes", "few"),
    _at_start("interfaces", "find a network interface but lo", "lo"),
    Attack("variables", "read tokens and outlets of the job in its variables", HIDDEN, control=True),
    Attack("victim", "see, stop or end a process outside", control=True),
    Attack("daemon", "outlive the run as a daemon", control=True),
    # packets
    _at_start("udp", "send UDP"),
    _at_start("udp_ipv6", "send UDP over IPv6"),
    _at_start("quic", "send QUIC (UDP to port 443)"),
    _at_start("broadcast", "send to everybody"),
    _at_start("icmp", "send an ICMP echo"),
    _at_start("raw_socket", "open a raw socket"),
    _at_start("raw_socket_ipv6", "open a raw IPv6 socket"),
    _at_start("packet_socket", "open a packet socket"),
    _at_start("vsock", "open a vsock to the hypervisor"),
    Attack("datagrams", "send datagrams of every kind: multicast, mapped, huge, empty, UDP-Lite"),
    Attack("flood", "send 20,000 datagrams, so that some get through or are not counted"),
    Attack("families", "open a socket of every other family and kind"),
    Attack("protocols", "speak SCTP, DCCP and the other protocols over IP"),
    Attack("options", "mark, bind and spoof by socket options"),
    # the host's own services
    _at_start("host_loopback", "connect to the host's loopback"),
    _at_start("host_unix_path", "connect to any Unix socket of the host", HIDDEN),
    _at_start("host_unix_abstract", "connect to an abstract Unix socket of the host"),
    _at_start("docker_socket", "connect to docker", HIDDEN),
    Attack("host_loopback_again", "reach the host's loopback by every spelling, TCP and UDP", control=True),
    Attack(
        "host_sockets", "connect to each Unix socket of the host, as stream, datagram, packets", control=True
    ),
    Attack("host_internal", "reach the host by the name host.internal"),
    # TCP and names
    Attack("ports", "connect to 200 ports outside, and say something"),
    Attack("metadata", "ask the cloud's metadata service for credentials"),
    Attack("server_names", "speak TLS to an address, under another name, and without one"),
    Attack("proxy", "have the proxy connect to what is denied, by every spelling"),
    Attack("tunnel", "carry data out in DNS names, by every record type and resolver"),
    # other namespaces, and the kernel's corners
    _at_start("user_namespace", "make a user namespace"),
    _at_start("network_namespace", "make a network namespace"),
    Attack("namespaces", "make each namespace, and each two together", control=True),
    Attack("other_namespaces", "enter the namespaces of PID 1"),
    _at_start("mount", "mount something"),
    _at_start("unmount", "take a mount off"),
    _at_start("netfilter", "change the packet filter"),
    Attack("netlink", "open every other netlink family", control=True),
    _at_start("ptrace", "trace a process", by_filter=True),
    _at_start("process_vm_readv", "read another process's memory", by_filter=True),
    _at_start("memory_of_pid_1", "read the memory of PID 1"),
    _at_start("root_of_pid_1", "step into the root of PID 1"),
    _at_start("io_uring", "make calls past the filter by io_uring", by_filter=True),
    _at_start("bpf", "load a BPF program", by_filter=True),
    _at_start("perf_event_open", "open performance counters", by_filter=True),
    _at_start("keyctl", "use the caller's keyring", by_filter=True),
    _at_start("terminal_injection", "type into the caller's terminal", by_filter=True),
    Attack("calls", "make every system call that is refused"),
    Attack("other_table", "make a system call by another table (x32)"),
    # files
    _at_start("host_write", "write to the host's files"),
    _at_start("hidden", "read the signing key, or write the evidence", HIDDEN),
    Attack("secrets", "read key and evidence by every other path"),
    Attack("places", "leave a file in any directory that everybody may write", control=True),
    Attack("protected", "change git's config and a workflow: links, renames, descriptors", control=True),
    Attack("settings", "write the kernel's settings in /proc and /sys"),
    Attack("devices", "open or make devices"),
    # exhaustion, and the record
    Attack("descriptors_flood", "open files without end"),
    Attack("processes_flood", "start processes without end"),
    Attack("receipts", "send anything without a receipt: the flood is counted, the packet valid", "recorded"),
)
"""In the order of the doctor's table, and of the tries."""

ROWS: Mapping[str, Attack] = {attack.name: attack for attack in ATTACKS}
