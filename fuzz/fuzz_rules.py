"""Bytes are detectors that compile and stand where they say, or a PolicyError whose places are in the text."""

from __future__ import annotations

from driver import fuzz, instrumented
from fuzz_policy import check_problems

from trio_egress.errors import PolicyError

with instrumented():
    from trio_egress.content.pattern import compile_pattern
    from trio_egress.content.rules import read_rules


def check(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    lines = text.removeprefix("\ufeff").split("\n")
    try:
        file = read_rules(text, "f.toml")
    except PolicyError as error:
        check_problems(error.problems, lines)
        return
    if file.warnings:
        check_problems(file.warnings, lines)
    names = [detector.name for detector in file.detectors]
    assert len(names) == len(set(names))
    for detector in file.detectors:
        assert compile_pattern(detector.pattern, detector.source).groups >= detector.group
        assert detector.source.startswith("f.toml:")
        assert 1 <= int(detector.source.rpartition(":")[2]) <= len(lines)


if __name__ == "__main__":
    fuzz(check, "rules")
