"""What it costs to see inside TLS: `python -m bench.interception [REQUESTS]`, as root or not, on two idle cores.

One nginx on loopback, one connection of h2load to it at a time: without a sandbox, through an opaque tunnel, seen
inside, and looked through, in HTTP/1.1 and HTTP/2 (one stream and a hundred); then 200 MB by curl. The ratio is to no
sandbox at all.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.programs.jobs import run_job, run_outside
from tests.programs.servers import Web, open_web
from tests.runs.launch import SEEN, Place, write_policy

HOST = "api.example.com"
RULES = {
    "opaque": f'[[egress]]\ndestination = "{HOST}"\n',
    "seen inside": f'[[egress]]\ndestination = "{HOST}"\npaths = ["/**"]\n',
    "looked through": f'[[egress]]\ndestination = "{HOST}"\nscan = true\n',
}
LOADS = {
    "HTTP/1.1, requests/s": "h2load --h1 -c 1 -n {n} {url}/hello",
    "HTTP/2, 1 stream, requests/s": "h2load -c 1 -m 1 -n {n} {url}/hello",
    "HTTP/2, 100 streams, requests/s": "h2load -c 1 -m 100 -n {n} {url}/hello",
}
BULK = {
    "HTTP/1.1, MB/s": "curl -sk --http1.1 -o /dev/null -w 'bulk %{{speed_download}}\\n' {url}/big",
    "HTTP/2, MB/s": "curl -sk --http2 -o /dev/null -w 'bulk %{{speed_download}}\\n' {url}/big",
}
BULK_BYTES = 200_000_000


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory(dir=SEEN) as folder:
        path = Path(folder)
        path.chmod(0o755)
        with open_web(path) as web:
            (web.root / "big").write_bytes(bytes(BULK_BYTES))
            place = Place()
            try:
                measure(place, web, requests)
            finally:
                place.close()


def measure(place: Place, web: Web, requests: int) -> None:
    (place.path / "root.pem").write_bytes(web.authority.read_bytes())
    (place.path / "root.pem").chmod(0o644)
    ways: dict[str, Callable[[str], str]] = {
        "no sandbox": lambda script: run_outside(
            place, script.replace("{url}", f"https://127.0.0.1:{web.https}")
        )
    }
    for name, rule in RULES.items():
        policy = write_policy(more=rule + '[tls]\nextra_ca = ["root.pem"]\n', pins=web.pins(HOST))
        ways[name] = lambda script, policy=policy: (  # type: ignore[misc]
            run_job(place, script.replace("{url}", f"https://{HOST}"), policy=policy).text
        )
    for label, command in (LOADS | BULK).items():
        script = command.replace("{n}", str(requests)).replace("{{", "{").replace("}}", "}")
        figures = {name: read_figure(run(script)) for name, run in ways.items()}
        floor = figures["no sandbox"]
        told = "  ".join(f"{name} {figure:9.0f} ({figure / floor:4.2f})" for name, figure in figures.items())
        print(f"{label:32} {told}", flush=True)


def read_figure(text: str) -> float:
    """Of h2load, requests a second; of curl, bytes a second as MB."""
    found = re.search(r"finished in [^,]+, ([0-9.]+) req/s", text)
    if found:
        return float(found.group(1))
    (told,) = re.findall(r"bulk ([0-9.]+)", text)
    return float(told) / 1e6


if __name__ == "__main__":
    main()
