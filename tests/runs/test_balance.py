"""Books that balance: whatever an agent does to the doors, what the kernel counted is what the receipts tell.

Each agent is a short program of its own; every run must end as a packet that verifies with its key pinned, which says
that nothing is unexplained, and must tell exactly as many events as the agent made.
"""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from tests.runs.launch import Ended, Place, write_policy

from trio_egress.evidence.balance import Balance
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.stream import replay_stream

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()
DNS_NAME = "allowed.example"
ONE_NAME = write_policy(DNS_NAME)

HEAD = """
import os, signal, socket, struct, sys, threading, time
NO_LINGER = struct.pack("ii", 1, 0)
OUTSIDE = "203.0.113.9"

def connect(address=OUTSIDE, port=443, family=socket.AF_INET):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.connect((address, port))
    return sock

def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    sock.close()

def query(name, number=1):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", number, 0x100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1)
"""


def run_agent(place: Place, program: str, policy: str = NOTHING, *options: str) -> Ended:
    return place.run(policy, *write_agent(place, program), options=options)


def write_agent(place: Place, program: str) -> list[str]:
    """The command that runs `program`; its file is where the agent can see it."""
    (place.work / "agent.py").write_text(HEAD + program)
    return [sys.executable, "-I", "-S", "agent.py"]


def read_balance(ended: Ended) -> Balance:
    replay = Replay(Findings(), "evidence.jsonl")
    with (ended.evidence / "evidence.jsonl").open("rb") as stream:
        replay_stream(stream, replay)
    assert replay.balance is not None
    return replay.balance


def assert_even(ended: Ended, **counts: int) -> dict[str, int]:
    """The books balance and the packet is valid; what the kernel counted, which is `counts` where those say."""
    balance = read_balance(ended)
    assert balance.is_even, balance
    assert ended.verify() == 0
    counted = {row.counter: row.counted for row in balance.rows}
    assert {name: counted[name] for name in counts} == counts
    return counted


def connections(ended: Ended, *transports: str) -> Counter[int]:
    """How many receipts each connection has."""
    return Counter(
        receipt.facts["connection"]
        for receipt in ended.receipts
        if receipt.transport in transports and "connection" in receipt.facts
    )


# connections


def test_a_run_in_which_nothing_happened_balances(place: Place) -> None:
    assert not any(assert_even(run_agent(place, "")).values())


def test_three_hundred_connections_at_once(place: Place) -> None:
    ended = run_agent(
        place,
        """
socks = [connect(port=1000 + number) for number in range(300)]
for sock in socks:
    try:
        sock.sendall(b"hello")
        sock.recv(1)
    except OSError:
        pass
""",
    )
    assert_even(ended, redirected=300)
    assert ended.verify_foreign() == 0
    assert sorted(connections(ended, "transparent")) == list(range(1, 301))


def test_two_thousand_connections_reset_at_once(place: Place) -> None:
    """Most of them before they are accepted."""
    ended = run_agent(place, "for _ in range(2000): reset(connect())")
    assert_even(ended, redirected=2000)
    assert len(connections(ended, "transparent")) == 2000


REFUSED = """
def ask():
    for _ in range({each}):
        sock = connect(port=8080)
        sock.sendall(b"GET / HTTP/1.1\\r\\nHost: evil.example\\r\\nConnection: close\\r\\n\\r\\n")
        try:
            while sock.recv(65536): pass
        except ConnectionResetError: pass
        sock.close()

threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_ten_thousand_connections_refused(place: Place) -> None:
    quiet = run_agent(place, REFUSED.format(each=1))
    ended = place.start(NOTHING, *write_agent(place, REFUSED.format(each=1250))).wait(240)
    assert_even(ended, redirected=10_000)
    assert len(ended.blocks) == len(connections(ended, "transparent")) == 10_000
    assert ended.peak_kib < quiet.peak_kib + 8 * 1024


def test_connections_that_end_without_a_byte(place: Place) -> None:
    ended = run_agent(
        place,
        """
for number in range(20):
    connect(port=(80, 443, 22)[number % 3]).close()
    connect("127.0.0.1", 8888).close()
    connect("8.8.8.8", 53).close()
time.sleep(1)
""",
    )
    assert_even(ended, redirected=20, proxy=20, dns_tcp=20)


@pytest.mark.parametrize(
    "what", ["pass", "sock.sendall(b'\\x16\\x03')", "sock.sendall(b'GET / HTTP/1.1\\r\\n')"]
)
def test_an_agent_killed_with_two_hundred_connections_open(place: Place, what: str) -> None:
    ended = run_agent(
        place,
        f"""
kept = []
for number in range(200):
    sock = connect(port=(80, 443, 22)[number % 3])
    {what}
    kept.append(sock)
for _ in range(20):
    sock = connect("127.0.0.1", 8888)
    {what}
    kept.append(sock)
    sock = connect("8.8.8.8", 53)
    {what}
    kept.append(sock)
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert ended.code == 128 + 9
    assert_even(ended, redirected=200, proxy=20, dns_tcp=20)
    assert len(connections(ended, "transparent")) == 200
    assert len(connections(ended, "forward", "connect")) == 20


def test_a_run_that_ends_by_its_time_out(place: Place) -> None:
    command = write_agent(place, "while True: reset(connect()); connect('127.0.0.1', 8888).close()")
    ended = place.run(NOTHING, *command, options=["--timeout", "4"])
    counted = assert_even(ended)
    assert counted["redirected"] > 100


def test_more_connections_than_the_backlog_holds(place: Place) -> None:
    """Their SYNs are sent again and again, and most of them are never accepted."""
    ended = run_agent(
        place,
        """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = []
for number in range(6000):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex((OUTSIDE, 25))
    kept.append(sock)
print(len(kept))
time.sleep(1.5)
""",
    )
    assert ended.text == "6000\n"
    assert_even(ended, redirected=6000)


def test_one_port_bound_again_after_each_refusal(place: Place) -> None:
    """What connection tracking takes for the connection that was reset before."""
    ended = run_agent(
        place,
        """
for _ in range(50):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 45678))
    sock.connect((OUTSIDE, 25))
    try:
        sock.sendall(b"EHLO\\r\\n")
        sock.recv(1)
    except OSError:
        pass
    sock.close()
""",
    )
    assert_even(ended, redirected=50)


def test_several_requests_on_one_connection_are_one_connection(place: Place) -> None:
    ended = run_agent(
        place,
        """
for host, port in ((OUTSIDE, 80), ("127.0.0.1", 8888)):
    sock = connect(host, port)
    for number in range(5):
        target = b"http://evil.example" if port == 8888 else b""
        sock.sendall(b"GET " + target + b"/%d HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n" % number)
        raw = b""
        while b"\\r\\n\\r\\n{" not in raw or not raw.endswith(b"}\\n"):
            raw += sock.recv(65536)
""",
    )
    assert_even(ended, redirected=1, proxy=1)
    assert sorted(connections(ended, "transparent", "forward").values()) == [5, 5]


def test_connections_to_the_listeners_themselves(place: Place) -> None:
    """The transparent one can't be reached: a refused packet each. A port scan of loopback finds all others."""
    ended = run_agent(
        place,
        """
refused = 0
for port in range(1, 65536):
    sock = socket.socket()
    sock.bind(("127.0.0.2", 0))  # else one of them finds itself
    if sock.connect_ex(("127.0.0.1", port)):
        refused += 1
    sock.close()
print(refused)
""",
    )
    counted = assert_even(ended, proxy=1, redirected=0)
    assert ended.text == f"{65535 - 3}\n"  # the proxy, the DNS listener, and port 53, which leads to it
    assert (counted["dns_tcp"], counted["tcp"]) == (2, 1)


# DNS


def test_a_flood_of_random_names(place: Place) -> None:
    ended = run_agent(
        place,
        """
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(5000):
    sock.sendto(query(f"{os.urandom(8).hex()}.evil.example", number), ("8.8.8.8", 53))
tcp = connect("8.8.8.8", 53)
for number in range(500):
    raw = query(f"{os.urandom(8).hex()}.evil.example", number)
    tcp.sendall(struct.pack("!H", len(raw)) + raw)
    tcp.recv(4096)
for number in range(100):
    other = connect("8.8.8.8", 53)
    raw = query(f"{os.urandom(8).hex()}.evil.example")
    other.sendall((struct.pack("!H", len(raw)) + raw) * (number % 3))
    other.close()
""",
    )
    assert_even(ended, dns_udp=5000, dns_tcp=101)
    assert ended.verify_foreign() == 0
    over_udp = sum(r.facts["count"] for r in ended.queries if r.facts["over"] == "udp")
    assert over_udp == 5000
    assert len(ended.receipts) < 3000


def test_queries_in_every_form_and_to_every_address(place: Place) -> None:
    ended = run_agent(
        place,
        """
targets = ["8.8.8.8", "127.0.0.1", "127.0.0.53", "224.0.0.1", "239.1.2.3", "255.255.255.255", "0.0.0.0"]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sent = 0
for raw in (b"", b"x", query("allowed.example"), query("evil.example"), b"\\xff" * 9000, b"\\0" * 65000):
    for target in targets:
        try:
            sent += bool(sock.sendto(raw, (target, 53)) + 1)
        except OSError as error:
            print(target, len(raw), error, file=sys.stderr)
    for target in ("2001:db8::1", "::1", "ff02::1", "::ffff:8.8.8.8"):
        try:
            sent += bool(six.sendto(raw, (target, 53)) + 1)
        except OSError as error:
            print(target, len(raw), error, file=sys.stderr)
    time.sleep(0.02)
print(sent)
""",
        ONE_NAME,
    )
    counted = assert_even(ended)
    assert counted["dns_udp"] >= int(ended.text)


def test_one_packet_that_is_cut_into_many_datagrams_is_one(place: Place) -> None:
    """UDP_SEGMENT: the kernel counts it once, and would deliver it ten times."""
    ended = run_agent(
        place,
        """
for family, target in ((socket.AF_INET, "8.8.8.8"), (socket.AF_INET6, "2001:db8::1")):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_UDP, 103, 64)
    for number in range(5):
        sock.sendto(b"x" * 640, (target, 53))
        sock.sendto(query("evil.example"), (target, 53))
""",
    )
    assert_even(ended, dns_udp=20)


def test_datagrams_that_travel_in_fragments(place: Place) -> None:
    ended = run_agent(
        place,
        """
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, 24, 1280)  # IPV6_MTU
six.sendto(b"x" * 9000, ("2001:db8::1", 53))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 65507, ("8.8.8.8", 53))
""",
    )
    assert_even(ended, dns_udp=2)


def test_every_source_address_that_a_program_can_bind(place: Place) -> None:
    ended = run_agent(
        place,
        """
def bind(source, kind):
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind((source, 0))
    return sock

for source in ("0.0.0.1", "240.0.0.1", "8.8.8.8", "203.0.113.9", "100.64.0.1", "169.254.1.1", "127.9.9.9"):
    bind(source, socket.SOCK_DGRAM).sendto(query("evil.example"), ("8.8.8.8", 53))
    for target in (("8.8.8.8", 53), (OUTSIDE, 443), ("127.0.0.1", 8888)):
        bind(source, socket.SOCK_STREAM).connect(target)
""",
    )
    assert_even(ended, redirected=7, proxy=7, dns_tcp=7, dns_udp=7)


def test_a_connection_that_no_listener_can_take_is_told_as_such(place: Place) -> None:
    """Its packets are signed by RFC 2385, which is no business of the listener's: they are dropped one by one."""
    ended = run_agent(
        place,
        """
signed = struct.pack("=HH4s120xBBHI80s", socket.AF_INET, 0, socket.inet_aton(OUTSIDE), 0, 0, 3, 0, b"key")
sock = socket.socket()
sock.setsockopt(socket.IPPROTO_TCP, 14, signed)
sock.settimeout(1.5)
try:
    sock.connect((OUTSIDE, 443))
except TimeoutError:
    print("not connected")
""",
    )
    assert ended.text == "not connected\n"
    assert_even(ended, redirected=1)
    assert ended.block.facts["connections"] == 1


def test_queries_sent_by_many_at_once(place: Place) -> None:
    """Two datagrams of one socket that race each other through connection tracking can lose one of them."""
    ended = run_agent(
        place,
        """
def ask():
    for number in range(100):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(0.2)
        sock.connect(("8.8.8.8", 53))
        other = threading.Thread(target=sock.send, args=(query("a.example", number),))
        other.start()
        sock.send(query("b.example", number))
        other.join()
        sock.close()

for _ in range(4):
    if not os.fork():
        ask()
        os._exit(0)
for _ in range(4):
    os.wait()
""",
    )
    assert_even(ended, dns_udp=800)


# refused packets

DATAGRAMS = """
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent = 0
for number in range({count}):
    try:
        sock.sendto(b"x" * 100, ("203.0.113.%d" % (number % {hosts} + 1), 9))
    except PermissionError:
        sent += 1
print(sent)
"""


@pytest.mark.parametrize("hosts", [1, 250])
def test_twenty_thousand_refused_datagrams(place: Place, hosts: int) -> None:
    quiet = run_agent(place, "time.sleep(1)")
    ended = run_agent(place, DATAGRAMS.format(count=20_000, hosts=hosts))
    assert ended.text == "20000\n"
    assert_even(ended, udp=20_000)
    assert sum(r.facts["count"] for r in ended.receipts) == 20_000
    assert ended.peak_kib < quiet.peak_kib + 8 * 1024


def test_a_hundred_thousand_refused_datagrams(place: Place) -> None:
    quiet = run_agent(place, "time.sleep(1)")
    ended = run_agent(place, DATAGRAMS.format(count=100_000, hosts=250))
    assert ended.text == "100000\n"
    assert_even(ended, udp=100_000)
    assert sum(r.facts["count"] for r in ended.receipts) == 100_000
    assert ended.peak_kib < quiet.peak_kib + 8 * 1024


def test_groups_that_a_program_joins_are_told(place: Place) -> None:
    ended = run_agent(
        place,
        """
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
member = socket.inet_aton("239.1.2.3") + socket.inet_aton("127.0.0.1")
sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
group = socket.inet_pton(socket.AF_INET6, "ff15::1") + struct.pack("I", 1)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
time.sleep(0.5)
""",
    )
    assert_even(ended)


def test_everything_at_once_and_then_killed(place: Place) -> None:
    ended = run_agent(
        place,
        """
def tcp():
    while True:
        reset(connect(port=25))

def proxy():
    while True:
        connect("127.0.0.1", 8888).close()

def udp(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        try:
            sock.sendto(query("evil.example"), (OUTSIDE, port))
        except PermissionError:
            pass

for flood in (tcp, proxy, lambda: udp(53), lambda: udp(9)):
    if not os.fork():
        flood()
time.sleep(1)
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    counted = assert_even(ended)
    assert all(counted[name] > 50 for name in ("redirected", "proxy", "dns_udp", "udp"))


# a supervisor that does not tell everything

FORGETFUL = """
import sys
from trio_egress.cli.main import main
from trio_egress.recorder import Recorder

honest = Recorder._append
Recorder._append = lambda self, draft: None if {what} else honest(self, draft)
sys.exit(main())
"""


class Forgetful(Place):
    """Runs with a supervisor that leaves out the receipts for which `what` holds."""

    what = "False"

    def program(self, command: str, number: int) -> list[str]:
        words = super().program(command, number)
        return [words[0], "-c", FORGETFUL.format(what=self.what), *words[3:]]


SOME_OF_ALL = """
connect(port=25).sendall(b"EHLO")
connect("127.0.0.1", 8888).close()
connect("8.8.8.8", 53).close()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.sendto(query("evil.example"), ("8.8.8.8", 53))
try:
    sock.sendto(b"x", (OUTSIDE, 9))
except PermissionError:
    pass
time.sleep(0.5)
"""


@pytest.mark.parametrize(
    ("what", "unexplained"),
    [
        ("False", {}),
        ("draft.transport == 'transparent'", {"redirected": 1}),
        ("draft.transport == 'forward'", {"proxy": 1}),
        ("draft.transport == 'dns' and draft.facts['over'] == 'tcp'", {"dns_tcp": 1}),
        ("draft.transport == 'dns' and draft.facts['over'] == 'udp'", {"dns_udp": 1}),
        ("draft.transport == 'packet'", {"udp": 1}),
    ],
)
def test_a_receipt_that_was_never_written_is_missed(what: str, unexplained: dict[str, int]) -> None:
    place = Forgetful()
    place.what = what
    try:
        ended = run_agent(place, SOME_OF_ALL)
        found = {row.counter: row.unexplained for row in read_balance(ended).rows if row.unexplained}
        assert found == unexplained
        assert (ended.code, ended.verify()) == ((122, 1) if unexplained else (0, 0))
        assert ended.verify_foreign() == 0  # to whoever does not count, it is a sound chain
    finally:
        place.close()
