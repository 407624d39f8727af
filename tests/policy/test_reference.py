"""docs/policy.md says what the program does: its tables and examples, tried one by one."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import attrs
import pytest
import tomli

from trio_egress.errors import PolicyError
from trio_egress.model import Attempt, Layer, Protocol, Transport
from trio_egress.policy.addresses import is_outside
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.destination import parse_destination, split_port
from trio_egress.policy.engine import decide
from trio_egress.policy.files import DEFAULT_PROTECT, Files
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.includes import read_include
from trio_egress.policy.index import build_index
from trio_egress.policy.limits import Limits
from trio_egress.policy.load import load_policy
from trio_egress.policy.presets import PRESETS
from trio_egress.policy.rule import Terms

TEXT = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
HEAD = 'version = "1.0"\ndefault_deny = true\n'


def table(header: str) -> list[list[str]]:
    """The rows of the table whose header line begins so, each a list of its cells."""
    _, _, after = TEXT.partition(f"\n{header}")
    rows = after.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def blocks() -> list[tuple[str, str]]:
    return re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


EXAMPLE = load_policy(blocks()[0][1], "agent.toml")


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


@pytest.mark.parametrize(("destination", "matching", "other"), table("| destination | matches"))
def test_each_destination_matches_as_it_says(destination: str, matching: str, other: str) -> None:
    index = build_index([(parse_destination(quoted(destination)[0]).pattern, True)])
    assert quoted(matching)
    assert quoted(other)
    assert all(index.find(parse_host(host)) for host in quoted(matching))
    assert not any(index.find(parse_host(host)) for host in quoted(other))


@pytest.mark.parametrize("row", table("| destination | plain HTTP on 80"))
def test_each_destination_opens_the_ports_it_says(row: list[str]) -> None:
    attempts = [
        [(Protocol.HTTP, 80)],
        [(Protocol.HTTP, 443)],
        [(Protocol.TLS, 443)],
        [(Protocol.TLS, 80)],
        [(Protocol.TCP, 443)],
        [(protocol, 8443) for protocol in (Protocol.HTTP, Protocol.TLS, Protocol.TCP)],
    ]
    policy = load_policy(f'{HEAD}[[egress]]\ndestination = "{quoted(row[0])[0]}"\n', "agent.toml")
    host = parse_host("api.example.com")
    for answer, cell in zip(row[1:], attempts, strict=True):
        decisions = [
            decide(policy, Attempt(Transport.TRANSPARENT, protocol, host, port)) for protocol, port in cell
        ]
        assert {decision.allowed for decision in decisions} == {answer == "yes"}


@pytest.mark.parametrize(("_range", "examples"), table("| range | examples"))
def test_each_listed_address_is_not_outside(_range: str, examples: str) -> None:
    assert quoted(examples)
    assert not any(is_outside(ip_address(address)) for address in quoted(examples))


@pytest.mark.parametrize(("line", "_meaning"), table("| line | meaning"))
def test_each_pin_is_accepted(line: str, _meaning: str) -> None:
    assert load_policy(f"{HEAD}[resolve]\n{quoted(line)[0]}\n", "agent.toml").resolve.pins


@pytest.mark.parametrize(("entry", "_what"), table("| entry of `include`"))
def test_each_entry_of_include_is_accepted(entry: str, _what: str) -> None:
    entries = ", ".join(quoted(entry)).replace("…", "0" * 64)
    assert read_include(tomli.loads(f"include = [{entries}]")["include"])


def test_every_preset_is_named() -> None:
    (row,) = [what for entry, what in table("| entry of `include`") if "preset:" in entry]
    assert tuple(quoted(row)) == PRESETS


def test_what_is_protected_by_default_is_all_listed_with_its_reason() -> None:
    listed = [path for paths, _because in table("| protected | because") for path in quoted(paths)]
    assert sorted(listed) == sorted(DEFAULT_PROTECT)


@pytest.mark.parametrize(
    ("header", "keys"),
    [("| key of a rule |", Terms), ("| key | default | meaning", Files), ("| key | at least", Limits)],
)
def test_every_key_of_a_table_is_listed(header: str, keys: type) -> None:
    assert [quoted(row[0])[0] for row in table(header)] == [field.name for field in attrs.fields(keys)]


@pytest.mark.parametrize(("key", "least", "_of_what"), table("| key | at least"))
def test_each_limit_has_its_least_value(key: str, least: str, _of_what: str) -> None:
    written = f'"{least}"' if " " in least else least
    limits = load_policy(f"{HEAD}[limits]\n{quoted(key)[0]} = {written}\n", "f").limits
    number = getattr(limits, quoted(key)[0])
    with pytest.raises(PolicyError, match=f"must be at least {least}"):
        load_policy(f"{HEAD}[limits]\n{quoted(key)[0]} = {number - 1}\n", "f")


def parse_attempt(text: str) -> Attempt:
    """`HTTP POST host:port`, `TLS host:port` or `DNS host`."""
    protocol, *method, authority = text.split()
    host, port = split_port(authority)
    spoken = Protocol[protocol]
    return Attempt(Transport.TRANSPARENT, spoken, parse_host(host), port or 0, method[0] if method else None)


@pytest.mark.parametrize(("attempt", "layer", "reason"), table("| attempt | layer"))
def test_each_denial_reads_as_it_says(attempt: str, layer: str, reason: str) -> None:
    decision = decide(EXAMPLE, parse_attempt(attempt))
    assert (decision.allowed, decision.layer.value, decision.reason) == (False, *quoted(layer), reason)


def test_every_layer_of_a_denial_is_explained() -> None:
    explained = {layer for row in table("| layer | meaning") for layer in quoted(row[0])}
    assert explained == {layer.value for layer in Layer} - {"rule"}


def test_each_policy_is_accepted_or_fails_with_the_errors_shown_below_it() -> None:
    shown = blocks()
    tried = 0
    for (language, text), (following, errors) in zip(shown, [*shown[1:], ("", "")], strict=True):
        if language == "toml" and following == "text":
            with pytest.raises(PolicyError) as caught:
                load_policy(text, "agent.toml")
            assert f"{caught.value}\n" == errors
            tried += 1
        elif language == "toml":
            policy = load_policy(text, "agent.toml")
            assert policy.rules
            said = "".join(f"{warning}\n" for warning in policy.warnings)
            assert said == (errors if following == "warnings" else "")
            tried += 1
    assert tried == 12


def test_the_example_in_yaml_means_the_same() -> None:
    (text,) = [text for language, text in blocks() if language == "yaml"]
    assert render_compiled(load_policy(text, "agent.yaml")) == render_compiled(EXAMPLE)


def test_what_is_said_to_be_refused_in_yaml_is() -> None:
    (line,) = re.findall(r"take for different things are errors:(.*?); write them plainly", TEXT, re.DOTALL)
    assert len(quoted(line)) == 19
    for written in quoted(line):
        with pytest.raises(PolicyError, match=r"^f.yaml:1:4: error: readers of YAML don't agree"):
            load_policy(f"a: {written}\n", "f.yaml")


def test_the_compiled_form_is_that_of_the_example() -> None:
    assert ("json", render_compiled(EXAMPLE).decode() + "\n") in blocks()
