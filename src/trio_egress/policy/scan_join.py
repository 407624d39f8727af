"""What the files of one policy say of scanning, as one: `[scan]`, its suppressions, and the canaries.

Rule 1: what can have one value has it everywhere it is said; detectors, values, suppressions and canaries add up.
Rule 2: what would look through nothing, or could plant nothing, is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import attrs

from trio_egress.errors import Problem
from trio_egress.policy.conflicts import find_ports
from trio_egress.policy.doors import WEB
from trio_egress.policy.environment import Env
from trio_egress.policy.part import Part
from trio_egress.policy.rule import Rule, Terms, Tls
from trio_egress.policy.scan import NO_SCAN, Scan, merge_scan
from trio_egress.policy.scan_keys import SCAN_READERS
from trio_egress.policy.secret import PlacedSecret
from trio_egress.policy.settings import Setting, join_lists, join_settings
from trio_egress.policy.sought import DetectorFile, PlacedCanary, Sought, SoughtFile, read_env
from trio_egress.policy.suppressed import PlacedSuppression
from trio_egress.texts.faults import PROBLEMS_MAX
from trio_egress.texts.positions import Path
from trio_egress.values import frozen

_DETECTORS = "detectors."
_BLIND = "with what [scan] says, neither requests nor answers are looked through"


@frozen
class Scanned:
    """What all of them say."""

    scan: Scan
    suppressions: tuple[PlacedSuppression, ...]
    sought: Sought
    named: tuple[tuple[str, Problem], ...] = ()
    """As `Policy.named_detectors`."""

    warnings: tuple[Problem, ...] = ()


def join_scan(
    parts: Sequence[Part],
    rules: Sequence[Rule],
    agents: tuple[Env, Sequence[PlacedSecret]],
    problems: list[Problem],
) -> Scanned:
    """`agents`: what else is in the agent's environment. What is wrong is added to `problems`."""
    words = join_settings(parts, _say_words, problems)
    detectors = {key: words.pop(key) for key in sorted(words) if key.startswith(_DETECTORS)}
    words.pop("every_rule", None)
    guess = words.pop("guess", None)
    scan = Scan(**words, detectors={key.removeprefix(_DETECTORS): value for key, value in detectors.items()})
    sought = Sought(
        detector_files=_join_detectors(parts),
        env=tuple(sorted(join_lists(parts, "scan", "env", read_env, problems) or ())),
        files=_join_files(parts),
        guess=guess is not False,
        canaries=_join_canaries(parts, agents, problems),
    )
    joined = Scanned(scan, _join_suppressions(parts, problems), sought, tuple(_list_named(parts)))
    problems += _find_blind(parts, scan)
    return attrs.evolve(
        joined, warnings=(*_find_idle(parts, rules), *islice(_find_left_out(parts), PROBLEMS_MAX))
    )


def spread_scan(parts: Sequence[Part]) -> Sequence[Part]:
    """The files with `scan` in every rule that can have it and says nothing of it, where one of them wants that."""
    if not any(part.document.scan.every_rule for part in parts):
        return parts
    spread = ((part, [_spread(terms, table) for terms, table in _list_rules(part)]) for part in parts)
    return [
        attrs.evolve(part, document=attrs.evolve(part.document, egress=tuple(rules)))
        for part, rules in spread
    ]


def _list_rules(part: Part) -> Iterator[tuple[Terms, Mapping[str, object]]]:
    """Each rule, and its table as it is written."""
    return zip(part.document.egress, part.reading.data.get("egress", ()), strict=True)


def _spread(terms: Terms, table: Mapping[str, object]) -> Terms:
    if "scan" in table or not _is_for_web(terms) or _allows_streams(terms):
        return terms
    return attrs.evolve(terms, scan=NO_SCAN)


def _is_for_web(terms: Terms) -> bool:
    """Whether it allows HTTP that can be seen."""
    web = terms.protocol is None or terms.protocol <= WEB
    return web and not terms.deny and terms.tls is not Tls.PASSTHROUGH


def _allows_streams(terms: Terms) -> bool:
    """Whether it allows what is not HTTP, of which it says nothing."""
    return terms.protocol is None and any(
        not (part.first == part.last and part.first in (80, 443)) for part in find_ports(terms)
    )


def _find_left_out(parts: Sequence[Part]) -> Iterator[Problem]:
    """A warning at each rule that `every_rule` leaves out, and that doesn't say why."""
    if not any(part.document.scan.every_rule for part in parts):
        return
    for part in parts:
        for place, (terms, table) in enumerate(_list_rules(part)):
            if "scan" not in table and _is_for_web(terms) and _allows_streams(terms):
                message = (
                    "[scan] every_rule leaves this rule out, because it allows other streams than HTTP: say scan = "
                    "true, and it allows HTTP alone, or scan = false"
                )
                yield attrs.evolve(part.make_problem(("egress", place), message), warning=True)


def _list_named(parts: Sequence[Part]) -> Iterator[tuple[str, Problem]]:
    """Every word for a detector, with its place."""
    for part in parts:
        rules = ((("egress", place), terms.scan) for place, terms in enumerate(part.document.egress))
        mcp = part.document.mcp
        of_mcp = (("mcp",), None if mcp is None else mcp.scan)
        for path, scan in ((), part.document.scan), of_mcp, *rules:
            for name in () if scan is None else scan.detectors:
                yield name, part.make_problem((*path, "scan", "detectors", name), "", on_key=True)


def _say_words(part: Part) -> Iterator[tuple[str, Setting]]:
    for key in part.reading.data.get("scan", {}):
        path: Path = ("scan", key)
        if key == "detectors":
            for name, action in part.document.scan.detectors.items():
                yield f"{_DETECTORS}{name}", (f"scan.detectors.{name}", action, (*path, name))
        elif key in SCAN_READERS or key in ("guess", "every_rule"):
            yield key, (f"scan.{key}", getattr(part.document.scan, key), path)


def _join_detectors(parts: Sequence[Part]) -> tuple[DetectorFile, ...]:
    found = {file.name: file for part in parts for file in part.detectors}
    return tuple(found[name] for name in sorted(found))


def _join_files(parts: Sequence[Part]) -> tuple[SoughtFile, ...]:
    """Each with its place in the first file that says it."""
    found: dict[str, SoughtFile] = {}
    for part in parts:
        for number, path in enumerate(part.reading.data.get("scan", {}).get("files", ())):
            found.setdefault(path, SoughtFile(path, part.make_problem(("scan", "files", number), "")))
    return tuple(found[path] for path in sorted(found))


def _say_suppressions(part: Part) -> Iterator[tuple[str, Setting]]:
    for place, table in enumerate(part.document.scan.suppress):
        said = f"{table.detector} until {table.expires}: {table.reason}"
        yield table.finding, (f"the suppression of {table.finding[:17]}…", said, ("scan", "suppress", place))


def _join_suppressions(parts: Sequence[Part], problems: list[Problem]) -> tuple[PlacedSuppression, ...]:
    join_settings(parts, _say_suppressions, problems)
    found: dict[str, PlacedSuppression] = {}
    for part in parts:
        for place, table in enumerate(part.document.scan.suppress):
            problem = part.make_problem(("scan", "suppress", place), "")
            found.setdefault(table.finding, PlacedSuppression(table, problem))
    return tuple(found[finding] for finding in sorted(found))


def _say_canaries(part: Part) -> Iterator[tuple[str, Setting]]:
    for place, canary in enumerate(part.document.canary):
        path: Path = ("canary", place)
        yield canary.name, (f"the canary {canary.name}", canary.way, path)
        if canary.env is not None:
            yield f"env {canary.env}", (f"the canary in {canary.env}", canary.name, (*path, "env"))
        if canary.file is not None:
            yield f"file {canary.file}", (f"the canary in {canary.file}", canary.name, (*path, "file"))


def _join_canaries(
    parts: Sequence[Part], agents: tuple[Env, Sequence[PlacedSecret]], problems: list[Problem]
) -> tuple[PlacedCanary, ...]:
    join_settings(parts, _say_canaries, problems)
    env, secrets = agents
    taken = {
        **{name: "[env] set gives it another value" for name, _ in env.set},
        **{
            placed.secret.variable: f"the placeholder of {placed.secret.name} is in it"
            for placed in secrets
            if placed.secret.variable is not None
        },
    }
    found: dict[str, PlacedCanary] = {}
    for part in parts:
        for place, canary in enumerate(part.document.canary):
            found.setdefault(canary.name, PlacedCanary(canary, part.make_problem(("canary", place), "")))
            if canary.env in taken:
                message = f"{canary.env} is no place for a canary: {taken[canary.env]}"
                problems.append(part.make_problem(("canary", place, "env"), message))
    return tuple(found[name] for name in sorted(found))


def _find_blind(parts: Sequence[Part], scan: Scan) -> Iterator[Problem]:
    """Rules that look through what `[scan]` leaves out, and the other way about."""
    for part in parts:
        for place, terms in enumerate(part.document.egress):
            if terms.scan is None:
                continue
            merged = merge_scan(terms.scan, scan)
            if not (merged.requests or merged.answers):
                yield part.make_problem(("egress", place, "scan"), _BLIND)
        table = part.document.mcp
        if table is not None and table.scan is not None:
            merged = merge_scan(table.scan, scan)
            if not (merged.requests or merged.answers):
                yield part.make_problem(("mcp", "scan"), _BLIND)


def _find_idle(parts: Sequence[Part], rules: Sequence[Rule]) -> Iterator[Problem]:
    """A warning where the policy says how to look, and nothing is looked through."""
    if any(rule.terms.scan is not None for rule in rules):
        return
    if any(part.document.mcp is not None and part.document.mcp.scan is not None for part in parts):
        return
    for key in ("scan", "canary"):
        part = next((part for part in parts if key in part.reading.data), None)
        if part is not None:
            shown = "[scan]" if key == "scan" else "[[canary]]"
            path: Path = (key,) if key == "scan" else (key, 0)
            message = f"no rule has `scan = true`, so {shown} does nothing"
            yield attrs.evolve(part.make_problem(path, message), warning=True)
