"""A gibibyte each way where everything is looked through: `python -m bench.gibibyte [MIB …]`, as root or not.

Real runs of curl against nginx on loopback, down and up, with `scan = true` and with actions that could end or strip an
answer. Prints what each took and the most memory that the supervisor ever had; that must not grow with the body, and
the exit code says so.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from pathlib import Path

import attrs
from tests.programs.jobs import run_job
from tests.programs.servers import Web, open_web
from tests.runs.launch import SEEN, Place, write_policy

HOST = "api.example.com"
SIZES_MIB = (2, 64, 1024)
FLAT_KIB = 24 * 1024
"""What a body of any size may take more than one of 2 MiB: pieces that are on their way."""

WORDS = {"told": "true", "stopped": '{ instruction = "block", hidden = "block" }'}
WAYS = {
    "down": f'curl -sSf -o /dev/null -w "%{{size_download}}" http://{HOST}/big',
    "up": f'curl -sSf -o /dev/null -T "$1" -w "%{{size_upload}}" http://{HOST}/put/big',
}


@attrs.frozen
class Measured:
    seconds: float
    peak_kib: int


def write_body(path: Path, mebibytes: int) -> None:
    """Lines of text and of base64, none like another."""
    with path.open("wb") as file:
        for number in range(mebibytes):
            noise = hashlib.shake_128(b"%d" % number).hexdigest(1 << 18).encode()
            line = b"line %d of a body that is as any other, and says nothing\n" % number
            text = (line * ((1 << 19) // len(line) + 1))[: 1 << 19]
            file.write(text + b"\n".join(noise[at : at + 75] for at in range(0, len(noise), 75))[: 1 << 19])


def measure(web: Web, way: str, words: str, mebibytes: int) -> Measured:
    place = Place()
    try:
        body = web.root / "big"
        write_body(body, mebibytes)
        if way == "up":
            body = body.rename(place.path / "big")
        body.chmod(0o644)
        rule = f'[[egress]]\ndestination = "{HOST}"\nscan = {words}\n'
        policy = write_policy(more=rule, pins=web.pins(HOST))
        size = body.stat().st_size
        start = time.monotonic()
        ended = run_job(place, WAYS[way], body, policy=policy)
        seconds = time.monotonic() - start
        if (ended.code, ended.text, ended.verify()) != (0, str(size), 0):
            raise SystemExit(f"{way}, {mebibytes} MiB: {ended.code} {ended.text} {ended.err}")
        return Measured(seconds, ended.peak_kib)
    finally:
        place.close()


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or list(SIZES_MIB)
    grown = False
    with tempfile.TemporaryDirectory(dir=SEEN) as folder:
        path = Path(folder)
        path.chmod(0o755)
        with open_web(path) as web:
            for way in WAYS:
                for name, words in WORDS.items():
                    each = {size: measure(web, way, words, size) for size in sizes}
                    for size, one in each.items():
                        rate = f"{size / one.seconds:6.1f} MiB/s"
                        print(f"{way:5} {name:8} {size:5} MiB  {rate}  peak {one.peak_kib / 1024:6.1f} MiB")
                    grown |= each[max(sizes)].peak_kib > each[min(sizes)].peak_kib + FLAT_KIB
    sys.exit("memory grows with the body" if grown else 0)


if __name__ == "__main__":
    main()
