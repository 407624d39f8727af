"""Makes one policy of the files that belong to it, whatever the order in which they are included.

Rule 1: rules are a union, and so are lists, variables and pins; a rule with `deny` wins wherever it stands.
Rule 2: what can have one value only has it everywhere it is said; otherwise the error names both places.
Rule 3: what one file may not say together, several may not either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

import attrs

from trio_egress.errors import PolicyError, Problem
from trio_egress.model import RuleRef
from trio_egress.policy.compiled import number_rules
from trio_egress.policy.conflicts import find_conflicts
from trio_egress.policy.destination import find_network
from trio_egress.policy.environment import Env, read_pass
from trio_egress.policy.files import Files, check_files, read_hide, read_protect, read_write
from trio_egress.policy.keys import RULES_MAX
from trio_egress.policy.limits import Limits
from trio_egress.policy.mcp_join import find_mcp_warnings, join_mcp
from trio_egress.policy.part import Part, place_cases
from trio_egress.policy.roots import join_roots
from trio_egress.policy.rule import Policy, Resolve, Rule, Source, Terms
from trio_egress.policy.scan_join import join_scan, spread_scan
from trio_egress.policy.secret import SECRETS_MAX, PlacedSecret
from trio_egress.policy.sent import find_faults
from trio_egress.policy.settings import Setting, join_lists, join_settings
from trio_egress.policy.ssh_secrets import find_keyless
from trio_egress.policy.upstream_proxy import PlacedProxy, UpstreamProxy
from trio_egress.policy.values import ITEMS_MAX
from trio_egress.texts.faults import PROBLEMS_MAX, Faults
from trio_egress.texts.positions import Path


def join(parts: Sequence[Part]) -> Policy:
    """`parts` as `gather` gives them, the policy first. Raises PolicyError."""
    problems: list[Problem] = []
    parts = spread_scan(parts)
    secrets = _join_secrets(parts, problems)
    rules = number_rules(_name_rules(parts), secrets)
    if len(rules) > RULES_MAX:
        raise _refuse(
            parts[0], f"a policy has at most {RULES_MAX} rules, and with its includes this has {len(rules)}"
        )
    limits = join_settings(parts, _say_limits, problems)
    variables = join_settings(parts, _say_variables, problems)
    pins = join_settings(parts, _say_pins, problems)
    passed = join_lists(parts, "env", "pass", read_pass, problems)
    files = _join_files(parts, problems)
    if len(variables) > ITEMS_MAX:
        problems.append(
            parts[0].make_problem(("env",), f"set has at most {ITEMS_MAX} variables, with all includes")
        )
    env = Env(pass_=passed, set=tuple(sorted(variables.items())))
    problems += _find_unsendable(parts, secrets, rules, env)
    scanned = join_scan(parts, rules, (env, secrets), problems)
    upstream = _join_upstream(parts, problems)
    mcp = join_mcp(parts, problems)
    warnings = (
        *_hold_against_each_other(parts, secrets, problems),
        *islice(_find_unchecked(parts, upstream), PROBLEMS_MAX),
        *scanned.warnings,
        *find_mcp_warnings(mcp),
    )
    if problems:
        raise PolicyError(tuple(problems[:PROBLEMS_MAX]))
    return Policy(
        rules,
        Resolve(tuple(pins.values())),
        parts[0].shown,
        files=files,
        env=env,
        limits=Limits(**limits),
        secrets=secrets,
        roots=join_roots(root for part in parts for root in part.roots),
        warnings=warnings,
        upstream=upstream,
        mcp=mcp,
        scan=scanned.scan,
        suppressions=scanned.suppressions,
        sought=scanned.sought,
        named_detectors=scanned.named,
        sources=(*(part.source for part in parts), *_find_beside(parts)),
        cases=tuple(case for part in parts for case in place_cases(part)),
    )


def _find_beside(parts: Sequence[Part]) -> Iterator[Source]:
    """Each file of roots or of detectors once."""
    yield from {source.name: source for part in parts for source in part.beside}.values()


def _name_rules(parts: Sequence[Part]) -> Iterator[tuple[RuleRef, Terms]]:
    """Each rule with its place; places count on through the files."""
    before = 0
    for part in parts:
        file = "" if part is parts[0] else part.source.name
        place_value = part.reading.positions.place_value
        for place, terms in enumerate(part.document.egress):
            line, _ = place_value(("egress", place))
            yield RuleRef(before + place, str(terms.destination), line, terms.name, file=file), terms
        before += len(part.document.egress)


def _hold_against_each_other(
    parts: Sequence[Part], secrets: Sequence[PlacedSecret], problems: list[Problem]
) -> tuple[Problem, ...]:
    """What the rules do to each other, and want of secrets: errors are added to `problems`, warnings are returned."""
    homes = [(part, place) for part in parts for place in range(len(part.document.egress))]
    terms = [part.document.egress[place] for part, place in homes]
    warnings: list[Problem] = []
    found = find_conflicts(terms, [part.source.name for part, _ in homes])
    for conflict in chain(found, find_keyless(terms, (placed.secret for placed in secrets))):
        part, place = homes[conflict.place]
        path: Path = ("egress", place) if conflict.key is None else ("egress", place, conflict.key)
        problem = part.make_problem(path, conflict.message)
        if not conflict.warning:
            problems.append(problem)
        elif len(warnings) < PROBLEMS_MAX:
            warnings.append(attrs.evolve(problem, warning=True))
    return tuple(warnings)


def _say_limits(part: Part) -> Iterator[tuple[str, Setting]]:
    for key in part.reading.data.get("limits", {}):
        yield key, (f"limits.{key}", getattr(part.document.limits, key), ("limits", key))


def _say_variables(part: Part) -> Iterator[tuple[str, Setting]]:
    for name, value in part.document.env.set:
        yield name, (f"the variable {name}", value, ("env", "set", name))


def _say_pins(part: Part) -> Iterator[tuple[str, Setting]]:
    # One pin for each key, in the same order: a pin that stands twice in one file is an error there.
    for key, pin in zip(part.reading.data.get("resolve", {}), part.document.resolve.pins, strict=True):
        yield pin.target, (f"the pin of {pin.target}", pin, ("resolve", key))


def _say_secrets(part: Part) -> Iterator[tuple[str, Setting]]:
    for place, secret in enumerate(part.document.secret):
        path: Path = ("secret", place, "from")
        yield f"{secret.name} from", (f"the secret {secret.name}", secret.from_, path)
        # What is not said counts, too: one file must not send what the other only keeps out of the record.
        yield f"{secret.name} way", (f"where the secret {secret.name} goes", secret.way, path)


def _join_secrets(parts: Sequence[Part], problems: list[Problem]) -> tuple[PlacedSecret, ...]:
    """Those of all files, by their names; each has its place in the first file that says it."""
    join_settings(parts, _say_secrets, problems)
    placed: dict[str, PlacedSecret] = {}
    for part in parts:
        for place, secret in enumerate(part.document.secret):
            problem = part.make_problem(("secret", place, "from"), "")
            placed.setdefault(secret.name, PlacedSecret(secret, problem))
    if len(placed) > SECRETS_MAX:
        problems.append(
            parts[0].make_problem((), f"a policy has at most {SECRETS_MAX} secrets, with all includes")
        )
    return tuple(placed[name] for name in sorted(placed))


def _say_upstream(part: Part) -> Iterator[tuple[str, Setting]]:
    for key in part.reading.data.get("upstream", {}):
        if key != "no_proxy":
            yield key, (f"upstream.{key}", getattr(part.document.upstream, key), ("upstream", key))


def _join_upstream(parts: Sequence[Part], problems: list[Problem]) -> PlacedProxy | None:
    """What all files say of it, and the place of its password in the first file that has one."""
    said = join_settings(parts, _say_upstream, problems)
    tables = [(part, part.document.upstream) for part in parts if part.document.upstream is not None]
    if not tables:
        return None
    direct = {str(item): item for _, table in tables for item in table.no_proxy}
    table = UpstreamProxy(no_proxy=tuple(direct[name] for name in sorted(direct)), **said)
    part, path = next(
        ((part, ("upstream", "password")) for part, one in tables if one.password is not None),
        (tables[0][0], ("upstream",)),
    )
    return PlacedProxy(table, part.make_problem(path, ""))


def _find_unchecked(parts: Sequence[Part], upstream: PlacedProxy | None) -> Iterator[Problem]:
    """A warning at each denied network, where another looks names up."""
    if upstream is None or upstream.table.resolve:
        return
    for part in parts:
        for place, terms in enumerate(part.document.egress):
            if terms.deny and find_network(terms.destination.pattern) is not None:
                message = (
                    "the proxy of [upstream] looks names up, so this denies addresses that are asked for, and no name "
                    "that leads there; resolve = true in [upstream] looks names up here"
                )
                yield attrs.evolve(part.make_problem(("egress", place), message), warning=True)


def _find_unsendable(
    parts: Sequence[Part], secrets: Sequence[PlacedSecret], rules: Sequence[Rule], env: Env
) -> Iterator[Problem]:
    """What the policy says against secrets that are sent, each at its place in the first file that has it."""
    homes = {
        secret.name: (part, place)
        for part in reversed(parts)
        for place, secret in enumerate(part.document.secret)
    }
    for name, key, message in find_faults([placed.secret for placed in secrets], rules, env):
        part, place = homes[name]
        yield part.make_problem(("secret", place, key), f"the secret {name}: {message}")


def _join_files(parts: Sequence[Part], problems: list[Problem]) -> Files:
    readers = {"write": read_write, "hide": read_hide, "protect": read_protect}
    joined = {
        key: paths
        for key, read in readers.items()
        if (paths := join_lists(parts, "files", key, read, problems)) is not None
    }
    files = Files(**joined)
    try:
        return check_files(files)
    except Faults as error:
        for fault in error.faults:
            key, place = fault.path
            part, at = _find_item(parts, str(key), joined[str(key)][int(place)])
            problems.append(part.make_problem(("files", key, at), fault.message))
        return files


def _find_item(parts: Sequence[Part], key: str, path: str) -> tuple[Part, int]:
    """Which file says this first, and at which place of its list."""
    said = ((part, getattr(part.document.files, key)) for part in parts)
    return next((part, paths.index(path)) for part, paths in said if path in paths)


def _refuse(part: Part, message: str) -> PolicyError:
    return PolicyError((part.make_problem((), message),))
