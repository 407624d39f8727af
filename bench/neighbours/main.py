"""A dozen attacks under trio-egress and its neighbours, and what got out, as those say who got it: the table of
docs/comparison.md.

    sudo python bench/neighbours/main.py PEERS

PEERS has what `npm install @anthropic-ai/sandbox-runtime` makes, and a venv `python` with mitmproxy and nono-py;
bubblewrap, socat, ripgrep, squid and tinyproxy are Debian's. Whoever is not there has no column.

Rule 1: it runs in namespaces of its own: nothing leaves the machine, and its network is not touched.
Rule 2: a neighbour is set up as its documentation says, to let `allowed.example` through and nothing else.
Rule 3: a proxy runs as another user than the agent.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
AGENT, AGENT_ID, PROXY_USER = "nobody", 65534, "proxy"
PYTHON = "/usr/bin/python3"
SQUID, TINYPROXY, MITMPROXY = 3128, 3129, 3130
SECONDS = 90
SETTLE_SECONDS = 0.5
AS_AGENT = ["setpriv", f"--reuid={AGENT_ID}", f"--regid={AGENT_ID}", "--clear-groups", "--"]

ROWS = {
    "allowed": "GET https://allowed.example/ (the policy allows it)",
    "tcp": "TCP to an address that nothing names",
    "dns": "DNS query straight to a server",
    "udp": "UDP datagram",
    "icmp": "ping with data",
    "unset": "HTTP with the proxy variables unset",
    "connect_ip": "CONNECT to an address",
    "sni": "TLS to the allowed host that names another",
    "exfiltrate": "data in a name that is looked up",
    "unix": "Unix socket of a service of the host",
    "loopback": "TCP to a service on the host's loopback",
    "token": "a token in a URL inside TLS to the allowed host",
    "log": "writing to the log of what it did",
}


class Neighbour(NamedTuple):
    """`command` comes before the agent's; `proxy` is started before it; `log` is what it keeps of the run."""

    name: str
    version: str
    command: Sequence[str] = ()
    proxy: Sequence[str] = ()
    log: Path | None = None
    port: int = 0


def main(peers: Path) -> int:
    if os.geteuid() or not shutil.which("setpriv"):
        print("this needs root, for namespaces and users of its own", file=sys.stderr)
        return 2
    if "LAB" not in os.environ:
        again = [
            "unshare",
            "--net",
            "--mount",
            "--propagation",
            "private",
            sys.executable,
            __file__,
            str(peers),
        ]
        return subprocess.run(again, env={**os.environ, "LAB": "1"}, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="lab-", dir="/srv") as name:
        lab = Path(name)
        lab.chmod(0o755)
        with open_world(lab):
            neighbours = list(find_neighbours(lab, peers.resolve()))
            results = {each.name: attack(lab, each) for each in neighbours}
    print_table(neighbours, results)
    return 0


# the lab


@contextmanager
def open_world(lab: Path) -> Iterator[None]:
    """An outside with names and servers, one hop away, and two services of this machine."""
    make_certificate(lab)
    (lab / "seen").touch()
    (lab / "work").mkdir()
    os.chown(lab / "work", AGENT_ID, AGENT_ID)
    (lab / "resolv.conf").write_text("nameserver 20.0.0.53\n")
    run("mount", "--bind", str(lab / "resolv.conf"), os.path.realpath("/etc/resolv.conf"))
    run("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")  # noqa: S108  a squid of the machine's may have its own there
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647")
    start = "ip link set lo up; while ! ip link show out0; do sleep 0.1; done >/dev/null 2>&1; ip link set out0 up; "
    start += "".join(f"ip addr add 20.0.0.{n}/24 dev out0; " for n in (1, 10, 53, 66))
    inside = [PYTHON, "-I", str(HERE / "world.py"), str(lab)]
    command = ["unshare", "--net", "sh", "-c", f'{start} exec "$@"', "sh", *inside]
    world = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        wait_namespace(world.pid)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "lab0", "type", "veth", "peer", "name", "out0", "netns", str(world.pid))
        run("ip", "addr", "add", "20.0.0.2/24", "dev", "lab0")
        run("ip", "link", "set", "lab0", "up")
        run("ip", "route", "add", "default", "via", "20.0.0.1")
        assert world.stdout is not None
        world.stdout.readline()
        serve_host(lab)
        yield
    finally:
        world.kill()
        world.wait()


def wait_namespace(pid: int) -> None:
    while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)


def make_certificate(lab: Path) -> None:
    run(
        *(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=allowed.example",
        ),
        *("-addext", "subjectAltName=DNS:allowed.example", "-keyout", str(lab / "key.pem")),
        *("-out", str(lab / "cert.pem")),
    )
    (lab / "cert.pem").chmod(0o644)


def serve_host(lab: Path) -> None:
    """A service on the loopback, and one on a Unix socket that everybody may connect to."""
    tcp = socket.create_server(("127.0.0.1", 7777))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(lab / "host.sock"))
    unix.listen()
    (lab / "host.sock").chmod(0o777)

    def keep(server: socket.socket) -> None:
        while True:
            stream, _ = server.accept()
            with stream, (lab / "seen").open("ab", buffering=0) as seen:
                stream.settimeout(3)
                try:
                    seen.write(stream.recv(4096) + b"\n")
                    stream.sendall(b"ok")
                except OSError:
                    continue

    for server in (tcp, unix):
        threading.Thread(target=keep, args=(server,), daemon=True).start()


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def ask(*command: str) -> str:
    """The first line of what it says."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return ((done.stdout or done.stderr).splitlines() or [""])[0].strip()


# the neighbours


def find_neighbours(lab: Path, peers: Path) -> Iterator[Neighbour]:
    yield Neighbour("nothing", "")
    if shutil.which("squid"):
        folder = make_folder(lab / "squid", PROXY_USER)
        text = f"""http_port 127.0.0.1:{SQUID}
acl ok dstdomain allowed.example
acl tls port 443
http_access deny CONNECT !tls
http_access allow ok
http_access deny all
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
pid_filename none
cache deny all
cache_effective_user {PROXY_USER}
"""
        (lab / "squid.conf").write_text(text)
        command = ["squid", "-N", "-f", str(lab / "squid.conf")]
        version = ask("squid", "--version").rpartition(" ")[2]
        yield Neighbour("squid", version, (), command, folder, SQUID)
    if shutil.which("tinyproxy"):
        folder = make_folder(lab / "tinyproxy", PROXY_USER)
        (lab / "filter").write_text("^allowed\\.example$\n")
        text = f"""Port {TINYPROXY}
Listen 127.0.0.1
User {PROXY_USER}
Group {PROXY_USER}
LogFile "{folder}/log"
Filter "{lab}/filter"
FilterDefaultDeny Yes
FilterExtended On
ConnectPort 443
"""
        (lab / "tinyproxy.conf").write_text(text)
        command = ["tinyproxy", "-d", "-c", str(lab / "tinyproxy.conf")]
        version = ask("tinyproxy", "-v").rpartition(" ")[2]
        yield Neighbour("tinyproxy", version, (), command, folder, TINYPROXY)
    yield from find_from_registries(lab, peers)
    if shutil.which("bwrap"):
        work = str(lab / "work")
        bwrap = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", work, work]
        yield Neighbour("bubblewrap", ask("bwrap", "--version").split()[-1], [*bwrap, "--unshare-all"])
    yield find_trio_egress(lab)


def find_from_registries(lab: Path, peers: Path) -> Iterator[Neighbour]:
    python = peers / "python/bin/python"
    if (mitmdump := peers / "python/bin/mitmdump").exists():
        folder = make_folder(lab / "mitmproxy", PROXY_USER)
        settings = [
            *("--listen-host", "127.0.0.1", "--listen-port", str(MITMPROXY), "-w", str(folder / "flows")),
            *("--set", f"confdir={folder}", "--set", f"ssl_verify_upstream_trusted_ca={lab}/cert.pem"),
            *("--set", "block_list=/!~d ^allowed\\.example$/403", "-q"),
        ]
        as_proxy = ["setpriv", f"--reuid={PROXY_USER}", f"--regid={PROXY_USER}", "--clear-groups", "--"]
        version = ask(str(mitmdump), "--version").rpartition(" ")[2]
        yield Neighbour("mitmproxy", version, (), [*as_proxy, str(mitmdump), *settings], folder, MITMPROXY)
    if list(peers.glob("python/lib/*/site-packages/nono_py")):
        find = "from importlib.metadata import version; print(version('nono-py'))"
        yield Neighbour("nono-py", ask(str(python), "-c", find), [str(python), str(HERE / "nono_run.py")])
    if (srt := peers / "node_modules/.bin/srt").exists():
        settings_file = lab / "srt.json"
        network = {"allowedDomains": ["allowed.example"], "deniedDomains": []}
        files = {"denyRead": [], "allowWrite": ["."], "denyWrite": []}
        settings_file.write_text(json.dumps({"network": network, "filesystem": files}))
        yield Neighbour(
            "sandbox-runtime", ask(str(srt), "--version"), [str(srt), "--settings", str(settings_file)]
        )


def find_trio_egress(lab: Path) -> Neighbour:
    policy = f"""version = "1.0"
default_deny = true
[[egress]]
destination = "allowed.example"
scan = true
[[secret]]
name = "token"
from = {{ env = "LAB_TOKEN" }}
[tls]
extra_ca = ["{lab}/cert.pem"]
"""
    (lab / "policy.toml").write_text(policy)
    evidence = make_folder(lab / "evidence", AGENT) / "packet"
    options = [
        "--policy",
        str(lab / "policy.toml"),
        "--evidence",
        str(evidence),
        "--proxy-variables",
        "--quiet",
    ]
    command = [sys.executable, "-m", "trio_egress", "run", *options, "--"]
    version = ask(sys.executable, "-m", "trio_egress", "--version").rpartition(" ")[2]
    return Neighbour("trio-egress", version, command, log=evidence)


def make_folder(path: Path, owner: str) -> Path:
    path.mkdir(mode=0o755)
    shutil.chown(path, owner)
    return path


# one run


def attack(lab: Path, neighbour: Neighbour) -> Mapping[str, str]:
    """What came of each attack."""
    mark = "m" + secrets.token_hex(6)
    proxy = None
    environment = {"PATH": os.environ["PATH"], "HOME": str(lab / "work"), "LAB_TOKEN": secrets.token_hex(20)}
    if neighbour.proxy:
        proxy = subprocess.Popen(
            neighbour.proxy, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_port(neighbour.port)
    if neighbour.port:
        environment |= dict.fromkeys(("http_proxy", "https_proxy"), f"http://127.0.0.1:{neighbour.port}")
    log = str(neighbour.log or "/nonexistent")
    agent = [PYTHON, str(HERE / "attacks.py"), mark, log, str(lab / "host.sock")]
    try:
        command = [*AS_AGENT, *neighbour.command, *agent]
        done = subprocess.run(
            command,
            cwd=lab / "work",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        time.sleep(SETTLE_SECONDS)
    finally:
        if proxy is not None:
            proxy.terminate()
            proxy.wait()
    if "-v" in sys.argv or "log:" not in done.stdout:
        print(neighbour.name, done.stdout, done.stderr, file=sys.stderr)
    seen = (lab / "seen").read_bytes()
    marked = {name: f"{mark}-{name}".encode() in seen for name in ROWS}
    said = {name: "**out**" if out else "refused" for name, out in marked.items()}
    said["allowed"] = "works" if marked["allowed"] else "refused, too"
    said["log"] = judge_log(neighbour.log, f"{mark}-log".encode())
    return said


def wait_port(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def judge_log(log: Path | None, mark: bytes) -> str:
    if log is None:
        return "keeps none"
    written = any(path.is_file() and path.read_bytes().startswith(mark) for path in log.rglob("*"))
    return "**written**" if written else "refused"


def print_table(neighbours: Sequence[Neighbour], results: Mapping[str, Mapping[str, str]]) -> None:
    print(f"| | {' | '.join(f'{each.name} {each.version}'.strip() for each in neighbours)} |")
    print(f"|---|{'---|' * len(neighbours)}")
    for name, words in ROWS.items():
        print(f"| {words} | {' | '.join(results[each.name][name] for each in neighbours)} |")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "/nonexistent")))
