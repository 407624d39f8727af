"""Runs one invariant over many inputs: by coverage with atheris where that is installed, else by seeded mutation.

A target calls `fuzz(check, corpus)`: `check` takes bytes and raises when the invariant is broken. The same command
line for all: `python fuzz/fuzz_dns.py [seconds] [--inputs N] [--seed N]`, whichever of the two ends first.
What it finds is shown as a Python literal; it becomes a vector in the tests of the module.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

Check = Callable[[bytes], None]

CORPUS: Final = Path(__file__).parent / "corpus"
NO_ATHERIS: Final = "--no-atheris"
INPUT_BYTES: Final = 32 * 1024
"""Twice the largest limit of any parser here, so that every limit can be passed."""
EDGES: Final = (0, 1, 2, 3, 4, 5, 22, 28, 41, 63, 64, 127, 128, 191, 192, 254, 255)


def instrumented() -> AbstractContextManager[object]:
    """Imports of ours inside it report their coverage to atheris, if that is there and wanted."""
    if NO_ATHERIS in sys.argv:
        return nullcontext()
    try:
        import atheris
    except ImportError:
        return nullcontext()
    return atheris.instrument_imports(include=["trio_egress"], exclude=["trio_egress.fuzzing"])  # type: ignore[no-any-return]


def fuzz(check: Check, corpus: str) -> None:
    """Read the command line and run; ends with status 0, or with the error that `check` raised."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").strip())
    parser.add_argument("seconds", nargs="?", type=int, default=10)
    parser.add_argument("--inputs", type=int, default=1 << 62, metavar="N")
    parser.add_argument("--seed", type=int, default=time.time_ns(), metavar="N")
    parser.add_argument(
        NO_ATHERIS, action="store_true", help="mutate at random, also where atheris is installed"
    )
    wanted = parser.parse_args()
    if wanted.no_atheris or not _fuzz_by_coverage(check, corpus, wanted.seconds, wanted.inputs, wanted.seed):
        count = fuzz_by_mutation(check, read_seeds(corpus), wanted.seconds, wanted.inputs, wanted.seed)
        print(f"{count} inputs, seed {wanted.seed}: the invariant held")


def read_seeds(corpus: str) -> list[bytes]:
    """The inputs that mutation starts from."""
    return [path.read_bytes() for path in sorted((CORPUS / corpus).iterdir())]


def fuzz_by_mutation(check: Check, seeds: list[bytes], seconds: float, inputs: int, seed: int) -> int:
    """Try the seeds, then mutations of them; returns how many inputs were tried. Raises what `check` raises."""
    chance = random.Random(seed)
    ends = time.monotonic() + seconds
    count = 0
    while count < inputs and (count < len(seeds) or time.monotonic() < ends):
        raw = seeds[count] if count < len(seeds) else mutate(chance, seeds)
        try:
            check(raw)
        except BaseException:
            print(f"input {count}, seed {seed}: {raw!r}", file=sys.stderr)
            raise
        count += 1
    return count


def mutate(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with one to eight changes of the kinds that parsers trip over."""
    raw = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(raw) + 1)
        end = min(len(raw), at + chance.choice((1, 2, 4, 16, 256)))
        match chance.randrange(8):
            case 0:
                raw[at:end] = bytes(chance.choice(EDGES) for _ in range(end - at))
            case 1:
                raw[at:at] = chance.randbytes(chance.choice((1, 2, 4, 64)))
            case 2:
                del raw[at:end]
            case 3:
                raw[at:at] = raw[at:end] * chance.choice((1, 2, 64))
            case 4:
                del raw[at:]
            case 5 if at < len(raw):
                raw[at] ^= 1 << chance.randrange(8)
            case 6 if at + 2 <= len(raw):
                number = int.from_bytes(raw[at : at + 2], "big") + chance.choice((-256, -2, -1, 1, 2, 256))
                raw[at : at + 2] = (number % 0x10000).to_bytes(2, "big")
            case _:
                other = chance.choice(seeds)
                raw[at:] = other[chance.randrange(len(other) + 1) :]
    return bytes(raw[:INPUT_BYTES])


def _fuzz_by_coverage(check: Check, corpus: str, seconds: int, inputs: int, seed: int) -> bool:
    """False where atheris is not installed; otherwise it ends the process. New inputs go to a directory of /tmp."""
    try:
        import atheris
    except ImportError:
        return False
    found = tempfile.mkdtemp(prefix=f"trio-egress-fuzz-{corpus}-")
    limits = [
        f"-max_total_time={seconds}",
        f"-runs={min(inputs, 2**31 - 1)}",
        f"-seed={seed % 2**32}",
        f"-max_len={INPUT_BYTES}",
        f"-artifact_prefix={found}/",
    ]
    atheris.Setup([sys.argv[0], *limits, found, str(CORPUS / corpus)], check)
    atheris.Fuzz()
    return True
