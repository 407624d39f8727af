"""What a user could pick instead, one function each: the command that serves as a proxy on a port.

Each is as its own documentation sets it up, without a log of requests where it has a switch for that, and allows what
is asked of it; `intercept` looks into TLS. A peer that can't do that raises NotHad.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import attrs
import trustme
from bench.installs import NotHad, find_debian, find_npm, find_python, unpack_debian
from bench.upstream import Upstream
from tests.runs.launch import AGENT, AS_ROOT


@attrs.frozen
class Setting:
    """What a peer is started with. `place` is its own directory, which its user can write."""

    place: Path
    port: int
    upstream: Upstream
    intercept: bool


@attrs.frozen
class Program:
    """A command, with what it needs in the environment and to its requests."""

    command: list[str]
    environment: Mapping[str, str] = attrs.field(factory=dict)
    token: bool = False
    """Whether it prints the fields (JSON) that each request has to have."""


def write_authority(place: Path) -> None:
    """What a peer signs with: authority.pem and authority.key."""
    ca = trustme.CA(key_type=trustme.KeyType.RSA)  # sandbox-runtime signs with no other
    ca.cert_pem.write_to_path(str(place / "authority.pem"))
    ca.private_key_pem.write_to_path(str(place / "authority.key"))


def start_squid(setting: Setting) -> Program:
    """Debian's build with OpenSSL: the usual one can't look into TLS."""
    squid = find_debian("squid", "squid-openssl", own=True)
    lines = [
        f"http_port 127.0.0.1:{setting.port}",
        "http_access allow all",
        "cache deny all",
        "access_log none",
        "cache_log /dev/null",
        "pid_filename none",
        "pinger_enable off",
        "shutdown_lifetime 0 seconds",
        f"coredump_dir {setting.place}",
    ]
    shared = Path("/usr/share/squid")
    if not shared.is_dir():
        shared = unpack_debian("squid-common") / "usr/share/squid"
    lines += [f"mime_table {shared}/mime.conf", f"icon_directory {shared}/icons"]
    lines += [f"error_directory {shared}/errors/templates"]
    if setting.intercept:
        helper = squid.parents[1] / "lib/squid/security_file_certgen"
        signs = f"tls-cert={setting.place}/authority.pem tls-key={setting.place}/authority.key"
        lines[0] += f" ssl-bump {signs} generate-host-certificates=on dynamic_cert_mem_cache_size=4MB"
        lines += ["ssl_bump bump all", f"sslcrtd_program {helper} -s {setting.place}/certificates -M 4MB"]
        lines += [f"tls_outgoing_options cafile={setting.upstream.authority}"]
        lines += [
            "sslproxy_cert_error allow all"
        ]  # it knows names of hosts alone, and is asked for an address
        made = [str(helper), "-c", "-s", str(setting.place / "certificates"), "-M", "4MB"]
        subprocess.run(made, check=True, capture_output=True, user=own_user())
    (setting.place / "squid.conf").write_text("\n".join(lines) + "\n")
    return Program([str(squid), "-N", "-f", str(setting.place / "squid.conf")])


def start_tinyproxy(setting: Setting) -> Program:
    refuse_interception("tinyproxy", setting)
    program = find_debian("tinyproxy", "tinyproxy-bin")
    told = f"Port {setting.port}\nListen 127.0.0.1\nMaxClients 1100\nTimeout 600\nLogLevel Critical\n"
    (setting.place / "tinyproxy.conf").write_text(f'{told}LogFile "{setting.place}/log"\n')
    return Program([str(program), "-d", "-c", str(setting.place / "tinyproxy.conf")])


def start_mitmproxy(setting: Setting) -> Program:
    program = find_python("mitmproxy", "mitmdump")
    options = {
        "confdir": setting.place,
        "ssl_verify_upstream_trusted_ca": setting.upstream.authority,
        "stream_large_bodies": "1m",
        **({} if setting.intercept else {"ignore_hosts": ".*:.*"}),
    }
    told = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    listen = ["--listen-host", "127.0.0.1", "--listen-port", str(setting.port)]
    return Program([str(program), "-q", *listen, *told])


def start_proxy_py(setting: Setting) -> Program:
    program = find_python("proxy.py", "proxy")
    place = setting.place
    command = [
        str(program),
        "--hostname",
        "127.0.0.1",
        "--port",
        str(setting.port),
        "--log-level",
        "CRITICAL",
    ]
    if setting.intercept:
        ours = {"ca-key-file": "authority.key", "ca-cert-file": "authority.pem"}
        ours |= {"ca-signing-key-file": "signing.key", "ca-cert-dir": "certificates"}
        (place / "certificates").mkdir(exist_ok=True)
        shutil.chown(place / "certificates", own_user() or os.geteuid())
        (place / "signing.key").write_bytes((place / "authority.key").read_bytes())
        os.chmod(place / "signing.key", 0o644)
        command += [word for name, file in ours.items() for word in (f"--{name}", str(place / file))]
        command += ["--ca-file", str(setting.upstream.authority)]
    return Program(command)


NONO = """
import base64, json, sys, nono_py
kept = nono_py.ProxyConfig(allowed_hosts=["127.0.0.1"], bind_port=int(sys.argv[1]), max_connections=8192)
proxy = nono_py.start_proxy(kept)
word = base64.b64encode(b"nono:" + proxy.env_vars()["NONO_PROXY_TOKEN"].encode()).decode()
print(json.dumps({"Proxy-Authorization": "Basic " + word}), flush=True)
while True:
    proxy.drain_audit_events()
    __import__("time").sleep(1)
"""


def start_nono(setting: Setting) -> Program:
    refuse_interception("nono-py without a route for credentials", setting)
    python = find_python("nono-py", "python")
    return Program([str(python), "-c", NONO, str(setting.port)], token=True)


RUNTIME = """
const [base, port, cert, key] = process.argv.slice(1)
const { createHttpProxyServer } = await import(base + '/dist/sandbox/http-proxy.js')
const options = { filter: (_, host) => host === '127.0.0.1' }
if (cert) {
  const { createMitmCA } = await import(base + '/dist/sandbox/mitm-ca.js')
  options.mitmCA = createMitmCA({ caCertPath: cert, caKeyPath: key })
}
createHttpProxyServer(options).listen(Number(port), '127.0.0.1')
"""


def start_sandbox_runtime(setting: Setting) -> Program:
    """Its proxy alone, as its manager makes it; the bridge of socat from its sandbox is not in the way."""
    base = find_npm("@anthropic-ai/sandbox-runtime")
    command = ["node", "--input-type=module", "-e", RUNTIME, "--", str(base), str(setting.port)]
    if setting.intercept:
        command += [str(setting.place / "authority.pem"), str(setting.place / "authority.key")]
    return Program(command, {"NODE_EXTRA_CA_CERTS": str(setting.upstream.authority)})


def refuse_interception(name: str, setting: Setting) -> None:
    if setting.intercept:
        raise NotHad(f"{name} doesn't look into TLS")


def own_user() -> int | None:
    """Who a peer runs as: nobody, where we are root."""
    return AGENT.pw_uid if AS_ROOT else None


PEERS: dict[str, Callable[[Setting], Program]] = {
    "squid": start_squid,
    "tinyproxy": start_tinyproxy,
    "nono-py": start_nono,
    "sandbox-runtime": start_sandbox_runtime,
    "proxy.py": start_proxy_py,
    "mitmproxy": start_mitmproxy,
}


def find_path() -> str:
    """PATH, with the programs that sandbox-runtime starts. What can't be had it misses by itself."""
    folders = []
    for program, package in (("bwrap", "bubblewrap"), ("socat", "socat"), ("rg", "ripgrep")):
        with suppress(NotHad):
            folders.append(str(find_debian(program, package).parent))
    return ":".join([*folders, os.environ["PATH"]])


START_UPS: dict[str, Callable[[], list[str]]] = {
    "bubblewrap": lambda: [
        *(str(find_debian("bwrap", "bubblewrap")), "--unshare-all", "--ro-bind", "/", "/"),
        *("--dev", "/dev", "--proc", "/proc", "true"),
    ],
    "sandbox-runtime": lambda: [
        *("node", str(find_npm("@anthropic-ai/sandbox-runtime") / "dist/cli.js"), "true")
    ],
    "mitmdump --version": lambda: [str(find_python("mitmproxy", "mitmdump")), "--version"],
    "import trio": lambda: [sys.executable, "-c", "import trio"],
    "python -c pass": lambda: [sys.executable, "-c", "pass"],
}
