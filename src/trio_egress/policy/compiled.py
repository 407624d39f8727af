"""The compiled form of a policy: canonical JSON in the words of the policy file, and its hash.

Rule 1: equal meaning, equal bytes. Rules are a set: sorted, each once, hosts in normal form. What a rule says that is
        its key's default is left out, and so are comments, layout, names of files, and words (WORDS).
Rule 2: `parse_compiled` takes these bytes and no others, and gives a policy that decides alike.
Rule 3: sorted keys, compact, ASCII: the same bytes on every Python.

A new key of a rule is one line in _WRITERS (or a word in WORDS); it is read back by the key's own reader in `keys`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from cattrs import BaseValidationError

from trio_egress.errors import PolicyError, Problem
from trio_egress.model import Rate, RuleRef
from trio_egress.policy.approval import render_ask
from trio_egress.policy.arguments import Arguments, ToolArguments, render_arguments
from trio_egress.policy.document import TABLES, Document
from trio_egress.policy.environment import Env
from trio_egress.policy.files import DEFAULT_PROTECT
from trio_egress.policy.globs import Glob, PathGlob
from trio_egress.policy.keys import structure
from trio_egress.policy.mcp_table import PlacedMcp, render_mcp
from trio_egress.policy.paths import SLASH, parse_path
from trio_egress.policy.problems import find_faults
from trio_egress.policy.roots import Root, render_roots
from trio_egress.policy.rule import Policy, Rule, Terms
from trio_egress.policy.scan import render_scan, render_words
from trio_egress.policy.secret import PlacedSecret, render_secrets
from trio_egress.policy.sent import find_borne
from trio_egress.policy.services import WebSocket
from trio_egress.policy.sought import (
    DetectorFile,
    PlacedCanary,
    Sought,
    SoughtFile,
    render_canaries,
    render_sought,
)
from trio_egress.policy.suppressed import PlacedSuppression, render_suppressions
from trio_egress.policy.upstream_proxy import PlacedProxy, render_upstream

COMPILED_FILE = "policy-compiled.json"
"""What messages call it."""

_WRITERS: Mapping[str, Callable[[Any], object]] = {
    "destination": str,
    "deny": bool,
    "ports": lambda ports: [part.first if part.first == part.last else str(part) for part in ports],
    "protocol": lambda protocol: sorted(scheme.value for scheme in protocol),
    "host_keys": lambda keys: [key.text for key in keys],
    "methods": sorted,
    "paths": lambda paths: sorted({_spell_path(glob.text) for glob in paths}),
    "query": sorted,
    "headers": lambda headers: _write_table(headers, sorted),
    "git": lambda git: _write_table(git, _write_repositories),
    "graphql": lambda graphql: _write_table(graphql, _write_globs),
    "jsonrpc": lambda jsonrpc: _write_table(jsonrpc, _write_globs),
    "mcp": lambda mcp: _write_table(mcp, _write_words),
    "tls": lambda tls: tls.value,
    "scan": render_scan,
    "websocket": lambda websocket: _write_websocket(websocket),
    "times": lambda times: [str(window) for window in times],
    "limits": lambda limits: _write_table(
        limits, lambda value: str(value) if isinstance(value, Rate) else value
    ),
    "ask": render_ask,
    "allow_private": bool,
}
"""Each key of a rule, and how its value is written. Never asked for a value that is the key's default."""

WORDS = frozenset({"name", "reason"})
"""Keys of a rule that are for people, and decide nothing."""

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_DEFAULTS = {field.name: field.default for field in attrs.fields(Terms)}


def _write_websocket(websocket: WebSocket) -> dict[str, object]:
    said = _write_table(
        websocket, lambda value: str(value) if isinstance(value, Rate) else _write_value(value)
    )
    return {"enabled": websocket.enabled, "frame_scan": websocket.frame_scan, **said}


def _write_value(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def _write_table(table: Any, write: Callable[[Any], object]) -> dict[str, object]:
    """A table inside of a rule, without its defaults."""
    return {
        field.name: write(value)
        for field in attrs.fields(type(table))
        if (value := getattr(table, field.name)) != field.default
    }


def _write_globs(globs: Iterable[Glob]) -> list[str]:
    return [glob.text for glob in globs]


def _write_words(words: Iterable[Glob] | Arguments) -> object:
    """Patterns over words, or what tools may be called with."""
    found = tuple(words)
    if any(isinstance(each, ToolArguments) for each in found):
        return render_arguments(tuple(each for each in found if isinstance(each, ToolArguments)))
    return _write_globs(each for each in found if isinstance(each, Glob))


def _write_repositories(globs: Iterable[PathGlob]) -> list[str]:
    return sorted({_spell_path(f"/{glob.text}").removeprefix("/") for glob in globs})


def _spell_path(text: str) -> str:
    """One spelling for all that decode to the same path: only an encoded slash stays encoded."""
    return parse_path(text).replace(SLASH, "%2F")


def render_compiled(policy: Policy) -> bytes:
    """One JSON object. `pass` or a limit is null where anything will do."""
    tables = {
        "version": "1.0",
        "default_deny": True,
        "dns_resolution": "proxy_only",
        "resolve": {pin.target: pin.answer for pin in policy.resolve.pins},
        "files": {key: sorted(paths) for key, paths in attrs.asdict(policy.files).items()},
        "env": _write_env(policy.env),
        "limits": attrs.asdict(policy.limits),
        **({"tls": render_roots(policy.roots)} if policy.roots else {}),
        **({"upstream": render_upstream(policy.upstream.table)} if policy.upstream else {}),
        **({"scan": scan} if (scan := _write_scan(policy)) else {}),
        **({"mcp": render_mcp(policy.mcp.table)} if policy.mcp else {}),
        **({"canary": render_canaries(policy.sought.canaries)} if policy.sought.canaries else {}),
        **({"secret": render_secrets(policy.secrets)} if policy.secrets else {}),
    }
    members = {key: _render_json(value) for key, value in tables.items()}
    members["egress"] = f"[{','.join(sorted({render_terms(rule.terms) for rule in policy.rules}))}]"
    rendered = ",".join(f'"{key}":{text}' for key, text in sorted(members.items()))
    return f"{{{rendered}}}".encode("ascii")


def _write_scan(policy: Policy) -> dict[str, object]:
    """The table `[scan]`, without what is usual."""
    suppressions = render_suppressions(policy.suppressions)
    written = {**render_words(policy.scan), **render_sought(policy.sought)}
    return {**written, "suppress": suppressions} if suppressions else written


def policy_hash(policy: Policy) -> str:
    """`sha256:` and the hex digest of the compiled form."""
    return f"sha256:{hashlib.sha256(render_compiled(policy)).hexdigest()}"


def render_terms(terms: Terms) -> str:
    """What a rule means, as canonical JSON: the identity and the order of rules."""
    return _render_json(
        {
            key: write(value)
            for key, write in _WRITERS.items()
            if (value := getattr(terms, key)) != _DEFAULTS[key]
        }
    )


def number_rules(
    rules: Iterable[tuple[RuleRef, Terms]], secrets: Iterable[PlacedSecret] = ()
) -> tuple[Rule, ...]:
    """Rules in the order given, each meaning once (the first that has it), with their ranks in the compiled form."""
    sent = tuple(
        dict.fromkeys(
            destination
            for placed in secrets
            if placed.secret.ssh_user is None
            for destination in placed.secret.to
        )
    )
    firsts: dict[str, tuple[RuleRef, Terms]] = {}
    for ref, terms in rules:
        firsts.setdefault(render_terms(terms), (ref, terms))
    ranks = {meaning: rank for rank, meaning in enumerate(sorted(firsts))}
    return tuple(
        Rule(ref, terms, ranks[meaning], find_borne(terms, sent) if sent else ())
        for meaning, (ref, terms) in firsts.items()
    )


def parse_compiled(raw: bytes) -> Policy:
    """The policy of which `raw` is the compiled form. Its rules have their places there, and no lines.

    Raises PolicyError, and nothing else.
    """
    try:
        document = structure(_as_written(json.loads(raw.decode("ascii"))))
    except BaseValidationError as error:
        raise _refuse("; ".join(fault.message for fault in find_faults(error, TABLES))[:500]) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _refuse("it is not a compiled policy") from None
    refs = (RuleRef(place, str(terms.destination), 1) for place, terms in enumerate(document.egress))
    nowhere = Problem(COMPILED_FILE, 1, 1, "")
    secrets = tuple(PlacedSecret(secret, nowhere) for secret in document.secret)
    policy = Policy(
        number_rules(zip(refs, document.egress, strict=True), secrets),
        document.resolve,
        COMPILED_FILE,
        files=document.files,
        env=document.env,
        limits=document.limits,
        roots=tuple(Root(root.target, root.sha256 or "") for root in document.tls.extra_ca),
        secrets=secrets,
        upstream=PlacedProxy(document.upstream, nowhere) if document.upstream else None,
        mcp=PlacedMcp(document.mcp, nowhere) if document.mcp else None,
        scan=document.scan.words,
        suppressions=tuple(PlacedSuppression(table, nowhere) for table in document.scan.suppress),
        sought=_read_sought(document, nowhere),
    )
    if render_compiled(policy) != raw:
        raise _refuse("it is not in canonical form")
    return policy


def _read_sought(document: Document, place: Problem) -> Sought:
    table = document.scan
    return Sought(
        detector_files=tuple(DetectorFile(each.target, each.sha256 or "") for each in table.detector_files),
        env=table.env,
        files=tuple(SoughtFile(path, place) for path in table.files),
        guess=table.guess is not False,
        canaries=tuple(PlacedCanary(canary, place) for canary in document.canary),
    )


def _as_written(compiled: dict[str, Any]) -> dict[str, Any]:
    """The compiled form as a policy file would say it: no null, and what is protected as a change of the defaults."""
    protect = compiled["files"]["protect"]
    added = [path for path in protect if path not in DEFAULT_PROTECT]
    opened = [f"!{path}" for path in DEFAULT_PROTECT if path not in protect]
    return {
        **compiled,
        "files": {**compiled["files"], "protect": [*added, *opened]},
        "env": _drop_null(compiled["env"]),
        "limits": _drop_null(compiled["limits"]),
    }


def _drop_null(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _refuse(message: str) -> PolicyError:
    return PolicyError((Problem(COMPILED_FILE, 1, 1, message),))


def _write_env(env: Env) -> dict[str, object]:
    return {"pass": None if env.pass_ is None else sorted(env.pass_), "set": dict(env.set)}


def _render_json(value: object) -> str:
    return _ENCODER.encode(value)
