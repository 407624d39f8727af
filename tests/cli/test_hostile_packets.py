"""Packets whose signer wants to harm whoever reads them: no command that shows them raises, or writes a control."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from tests.cli.inside import call
from tests.evidence.found import write_found
from tests.evidence.specimens import SESSION, STRANGER, Receipt, rewrite, setting_fact
from tests.evidence.test_packet import FACTS, make_packet
from tests.views.pictures import HOSTILE, POLICY, write_lines

from trio_egress.policy.compiled import policy_hash, render_compiled
from trio_egress.policy.load import load_policy

OTHER_FACTS = (
    "rule",
    "host",
    "secrets_used",
    "query",
    "ws_protocols",
    "calls",
    "host_key",
    "via",
    "judged_us",
    "counters",
)
COMPILED = load_policy(POLICY.decode(), "policy.toml")
SESSION_BY_POLICY = attrs.evolve(SESSION, policy_hash=policy_hash(COMPILED), able=("meter",))
CONTROLS = HOSTILE.replace("\ud800", "")
KEY = STRANGER
"""Who signs such a packet has a key, and a reader who pins it."""

COMMANDS: list[list[str]] = [
    ["verify", "p", "--public-key", KEY.public_hex],
    ["verify", "p", "--quick"],
    ["verify", "p", "--json"],
    ["packet", "show", "p"],
    ["packet", "show", "p", "line:2"],
    ["packet", "show", "p", "line:1"],
    ["packet", "ls"],
    ["packet", "diff", "p", "honest"],
    *(["packet", "export", "p", "--format", form] for form in ("junit", "sarif", "ocsf")),
    ["packet", "report", "p", "--output", "page.html"],
    ["packet", "report", "p", "--markdown", "--output", "page.md"],
    ["learn", "--from", "p"],
]

Leaf = tuple[str, ...]


def list_leaves(value: object, kind: type, path: Leaf = ()) -> Iterator[Leaf]:
    """Where values of this type stand; the items of a list have no names of their own."""
    if type(value) is kind:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from list_leaves(item, kind, (*path, name))
    elif isinstance(value, list):
        for item in value:
            yield from list_leaves(item, kind, path)


def replacing(wanted: Callable[[Leaf], bool], kind: type, new: object) -> Callable[[Receipt], None]:
    def put(value: Any, path: Leaf) -> Any:
        if type(value) is kind:
            return new if wanted(path) else value
        if isinstance(value, dict):
            return {name: put(item, (*path, name)) for name, item in value.items()}
        return [put(item, path) for item in value] if isinstance(value, list) else value

    def change(receipt: Receipt) -> None:
        receipt["action_record"] = put(receipt["action_record"], ("action_record",))
        if "ext" in receipt:
            receipt["ext"] = put(receipt["ext"], ("ext",))

    return change


HONEST = write_lines(SESSION_BY_POLICY)
FOUND = write_found(SESSION_BY_POLICY)
RECEIPTS = [json.loads(line) for line in [*HONEST, *FOUND]]
TEXTS = sorted({leaf for receipt in RECEIPTS for leaf in list_leaves(receipt, str) if len(leaf) > 1})
NUMBERS = sorted({leaf for receipt in RECEIPTS for leaf in list_leaves(receipt, int) if len(leaf) > 1})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    _write(place / "honest", HONEST)
    return place


def _write(directory: Path, lines: list[bytes]) -> None:
    facts = attrs.evolve(FACTS, policy_text=POLICY.decode(), policy_compiled=render_compiled(COMPILED))
    directory.mkdir()
    make_packet(directory, lines, facts, KEY)


def _show_all(place: Path, change: Callable[[Receipt], None]) -> None:
    """Every command's words of both runs, changed so and signed again."""
    for lines in (HONEST, FOUND):
        changed = rewrite(lines, dict.fromkeys(range(len(lines)), change), key=KEY)
        _write(place / "p", changed)
        try:
            for command in COMMANDS:
                _check_said(place, command)
        finally:
            shutil.rmtree(place / "p")


def _check_said(place: Path, command: list[str]) -> None:
    ran = call(*command, cwd=place)
    written = [place / name for name in ("page.html", "page.md") if (place / name).exists()]
    texts = [ran.stdout, ran.stderr, *(file.read_text() for file in written)]
    for file in written:
        file.unlink()
    for text in texts:
        controls = [c for c in text if not c.isprintable() and c not in "\n\N{NO-BREAK SPACE}"]
        assert not controls, (command, controls, text[:2000])
    if "junit" in command:
        assert ElementTree.fromstring(ran.stdout).tag == "testsuites"
    assert ran.returncode in (0, 1, 2, 3), (command, ran.stderr)


@pytest.mark.parametrize("leaf", TEXTS, ids=".".join)
def test_a_text_with_controls_is_written_as_an_escape(place: Path, leaf: Leaf) -> None:
    _show_all(place, replacing(lambda path: path == leaf, str, CONTROLS))


def test_nor_are_they_where_every_text_has_them(place: Path) -> None:
    _show_all(place, replacing(lambda path: True, str, CONTROLS))


def _name(value: object) -> str:
    return repr(value)[:8]


@pytest.mark.parametrize("new", [10**400, -(10**400), 2**63, {}, [{}], [[]], None, True, CONTROLS], ids=_name)
@pytest.mark.parametrize("kind", [int, str])
def test_nothing_raises_for_values_of_another_kind_or_size(place: Path, kind: type, new: object) -> None:
    _show_all(place, replacing(lambda path: path[0] == "ext", kind, new))
    _show_all(place, replacing(lambda path: True, kind, new))


def test_no_sum_is_too_long_to_be_shown(place: Path) -> None:
    """One digit more, and Python writes none."""
    _show_all(place, replacing(lambda path: path[0] == "ext", int, 10**4300 - 1))


@pytest.mark.parametrize("leaf", NUMBERS, ids=".".join)
def test_no_number_is_too_large_to_be_shown(place: Path, leaf: Leaf) -> None:
    _show_all(place, replacing(lambda path: path == leaf, int, 10**400))


@pytest.mark.parametrize("value", [[{}], [[]], {}, "able", 10**400], ids=str)
def test_no_fact_of_another_kind_raises(place: Path, value: object) -> None:
    _show_all(place, setting_fact("able", value))

    def change(receipt: Receipt) -> None:
        for name in OTHER_FACTS:
            setting_fact(name, value)(receipt)

    _show_all(place, change)


@pytest.mark.parametrize(
    "command",
    [
        "learn --from P",
        *(f"packet {name} P" for name in ("show", "ls", "pack", "report", "timestamp --output x")),
        "packet prove P 0",
        "packet export --format junit P",
    ],
)
def test_a_packet_is_named_without_controls(tmp_path: Path, command: str) -> None:
    packet = tmp_path / "\x1b[2J\nVALID"
    packet.mkdir()
    (packet / "evidence.jsonl").symlink_to("nowhere")
    ran = call(*(packet if word == "P" else word for word in command.split()), cwd=tmp_path)
    assert ran.returncode == 2
    assert "\\x1b[2J\\nVALID" in ran.stderr
    assert (ran.stdout + ran.stderr).replace("\n", "").isprintable()
    assert "\nVALID" not in ran.stderr
