"""Two spellings of one URL are one attempt, and node (WHATWG), libcurl and urllib read both as that URL's host."""

from __future__ import annotations

import attrs
from driver import fuzz, instrumented
from hypothesis import given
from hypothesis import strategies as st
from oracles import ORACLES, read_by_node

with instrumented():
    from trio_egress.fuzzing import Url, read_url, urls
    from trio_egress.fuzzing.hosts import Choices, spell_host
    from trio_egress.fuzzing.urls import spell_url
    from trio_egress.policy.hosts import parse_host

NUMBERS = st.integers(0, 2**128 - 1)


@given(urls(), NUMBERS, NUMBERS)
def search(url: Url, one: int, other: int) -> None:
    spellings = [spell_url(url, Choices(number)) for number in (one, other)]
    attempts = [attrs.evolve(read_url(spelt), path=None) for spelt in spellings]
    assert attempts[0] == attempts[1], spellings
    assert (attempts[0].host, attempts[0].port) == (url.host, url.port), spellings
    for spelt in spellings:
        readings = {name: read(spelt) for name, read in ORACLES.items()}
        assert all(reading == url.host for reading in readings.values()), (spelt, readings)
    check_beyond_ascii(url, Choices(one))


def check_beyond_ascii(url: Url, choices: Choices) -> None:
    """As a browser reads them: the others map by the rules of 2003, or not at all."""
    spelt = spell_host(url.host, choices)
    assert parse_host(spelt) == url.host, spelt
    assert read_by_node(f"http://{spelt}/") == url.host, spelt


def check(raw: bytes) -> None:
    search.hypothesis.fuzz_one_input(raw)  # type: ignore[attr-defined]


if __name__ == "__main__":
    fuzz(check, "spelling")
