"""The detectors that a command works with: the packaged ones, and those of rule files before them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable

from trio_egress.content.catalogue import add_to_catalogue, warn_of_replaced
from trio_egress.content.detector import Detector
from trio_egress.content.rules import RuleFile, read_rules
from trio_egress.errors import UsageError


def read_detectors(files: Iterable[str], kinds: Collection[str]) -> list[Detector]:
    """Of these kinds, or of all. Warnings are told. Raises PolicyError and UsageError."""
    read = [_read_file(file) for file in files]
    detectors = add_to_catalogue(read)
    for warning in (*(warning for file in read for warning in file.warnings), *warn_of_replaced(read)):
        print(warning, file=sys.stderr)
    return [each for each in detectors if not kinds or each.kind.value in kinds]


def _read_file(file: str) -> RuleFile:
    try:
        with open(file, encoding="utf-8") as opened:
            return read_rules(opened.read(), file)
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8, in which rules are written") from None
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
