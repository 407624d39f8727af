"""One schema for everything that --json prints: it names every command that has it, and each member that is printed."""

from __future__ import annotations

import argparse
import copy
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.cli.test_packet_prove import run_packet
from tests.evidence.authority import make_authority, stamp
from tests.evidence.found import COMMITMENT_KEY, TOKEN, write_found
from tests.evidence.specimens import KEY, Scribe
from tests.test_docs_commands import write_packets, write_policies

from trio_egress.cli.main import build_parser, main

SCHEMA = json.loads(files("trio_egress.cli").joinpath("output.schema.json").read_text("utf-8"))
PAGE = (Path(__file__).parents[2] / "docs/json.md").read_text("utf-8")


def close(schema: Any) -> Any:
    """The same, in which no member may stand that isn't named."""
    if isinstance(schema, dict):
        closed = {key: close(value) for key, value in schema.items()}
        if "properties" in schema and isinstance(schema["properties"], dict):
            closed.setdefault("additionalProperties", False)
        return closed
    return [close(one) for one in schema] if isinstance(schema, list) else schema


STRICT = close(copy.deepcopy(SCHEMA))


def hold(name: str, value: object) -> None:
    """Both as published, and with nothing that is not in it."""
    for schema in (SCHEMA, STRICT):
        Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]}).validate(value)


def find_commands(parser: argparse.ArgumentParser, *words: str) -> Iterator[str]:
    if "--json" in parser._option_string_actions:
        yield "-".join(words)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from find_commands(below, *words, name)


def test_the_schema_is_one_and_has_every_command_and_no_other() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    commands = set(find_commands(build_parser()[0]))
    assert {name for name in SCHEMA["$defs"] if not name.startswith("part-")} == commands
    assert {one["$ref"].rpartition("/")[2] for one in SCHEMA["anyOf"]} == commands
    for name in commands:
        assert f"| `{name.replace('-', ' ')}` | {SCHEMA['$defs'][name]['description']} |" in PAGE


def test_the_page_says_how_to_get_it() -> None:
    (command,) = re.findall(r"^    python3 (-c .*)$", PAGE, re.MULTILINE)
    ran = subprocess.run(
        [sys.executable, *shlex.split(command)], capture_output=True, check=True, timeout=120
    )
    assert json.loads(ran.stdout) == SCHEMA


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_policies(tmp_path)
    write_packets(tmp_path)
    (tmp_path / "key.txt").write_text(KEY.public_hex)
    (tmp_path / "wrong.toml").write_text('version = "1.0"\ndefault_deny = true\nnonsense = 1\n')
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text(f"token = '{TOKEN.decode()}'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = {
    "verify": [
        "verify audit/monday --public-key key.txt",
        "verify audit/monday/run.json --quick",
        "verify nowhere",
    ],
    "watch": ["watch audit/monday", "watch audit/tuesday"],
    "scan": ["scan code"],
    "init": ["init new.toml", "init --full full.toml"],
    "policy-check": ["policy check agent.toml wrong.toml"],
    "policy-show": ["policy show agent.toml"],
    "policy-diff": ["policy diff agent.toml changed.toml"],
    "policy-test": ["policy test agent.toml"],
    "policy-explain": [
        "policy explain --policy agent.toml --suggest git.example.com:22",
        "policy explain --policy agent.toml https://api.example.com/v1",
        "policy explain --policy agent.toml GET http://docs.example.com/guide/a",
    ],
    "policy-fmt": ["policy fmt --check agent.toml"],
    "policy-import": ["policy import --from srt srt-settings.json"],
    "detectors-list": ["detectors list"],
    "detectors-test": ["detectors test TOKEN"],
    "packet-pack": ["packet pack audit/monday"],
    "packet-ls": ["packet ls audit", "packet ls audit --public-key key.txt"],
    "packet-show": ["packet show audit/monday", "packet show audit/monday 1"],
    "packet-diff": ["packet diff audit/monday audit/tuesday"],
    "keys-fingerprint": ["keys fingerprint key.txt"],
    "doctor": ["doctor"],
}


def print_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Any]:
    """What a command prints: one value, or one a line."""
    main([*arguments, "--json"])
    out = capsys.readouterr().out
    try:
        return [json.loads(out)]
    except ValueError:
        return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_printed_is_what_the_schema_says(
    desk: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for command in COMMANDS[name]:
        values = print_json(capsys, *command.replace("TOKEN", TOKEN.decode()).split())
        assert values, command
        for value in values:
            hold(name, value)


def test_keys_that_are_made(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = print_json(capsys, "keygen", "new.key")
    hold("keygen", told)


def test_rosters(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    added = ["keys", "add", "trusted.toml", "key.txt", "--name", "a", "--valid-from", "2026-01-01"]
    (told,) = print_json(capsys, *added)
    hold("keys-add", told)
    assert (told["state"], told["public"]) == ("valid", KEY.public_hex)
    revoked = ["keys", "revoke", "trusted.toml", "a", "--reason", "compromised", "--note", "b"]
    (told,) = print_json(capsys, *revoked)
    hold("keys-revoke", told)
    assert (told["state"], told["note"]) == ("revoked", "b")
    for action in ("ls", "check"):
        (keys,) = print_json(capsys, "keys", action, "trusted.toml")
        hold(f"keys-{action}", keys)
        assert len(keys) == 1


def test_a_log_that_was_abandoned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evidence.jsonl").write_bytes(Scribe().open().allow().raw)
    (told,) = print_json(capsys, "recover", str(tmp_path))
    hold("recover", told)


def test_what_was_found_and_what_is_revealed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evidence.jsonl").write_bytes(b"".join(write_found()))
    (tmp_path / "key").write_text(f"{COMMITMENT_KEY.hex()}\n")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "value").write_bytes(TOKEN)
    with (tmp_path / "value").open() as value:
        monkeypatch.setattr(sys, "stdin", value)
        (told,) = print_json(
            capsys, "packet", "reveal", str(tmp_path), "--commitment-key", str(tmp_path / "key")
        )
    hold("packet-reveal", told)
    assert told["found"]
    for name, command in {"packet-show": "packet show", "watch": "watch"}.items():
        values = print_json(capsys, *command.split(), str(tmp_path))
        assert any(value.get("findings") for value in values)
        for value in values:
            hold(name, value)


def test_proofs_and_timestamps(tmp_path: Path) -> None:
    scribe = Scribe().open().allow().close()
    packet = tmp_path / "packet"
    packet.mkdir()
    (packet / "evidence.jsonl").write_bytes(scribe.raw)
    (packet / "checkpoint.txt").write_bytes(scribe.chain.sign_checkpoint())
    given = ["--public-key", KEY.public_hex, "--json"]
    assert run_packet("prove", "packet", "2", "-o", "proof", cwd=tmp_path).returncode == 0
    hold("packet-prove", json.loads(run_packet("prove", "--check", "proof", *given, cwd=tmp_path).stdout))
    authority = make_authority(tmp_path / "tsa")
    assert run_packet("timestamp", "packet", "-o", "asked", cwd=tmp_path).returncode == 0
    (tmp_path / "answer").write_bytes(stamp(authority, (tmp_path / "asked").read_bytes()))
    checked = ["packet", "--check", "answer", "--authority", "tsa/root.pem", "--json"]
    hold("packet-timestamp", json.loads(run_packet("timestamp", *checked, cwd=tmp_path).stdout))


def test_a_run_that_was_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    from trio_egress.cli.status import Status, print_status

    print_status(Status(run_id="", exit_code=125, end="refused", message="no policy"))
    hold("run", json.loads(capsys.readouterr().out))
    assert SCHEMA["$defs"]["run"]["properties"] == SCHEMA["$defs"]["learn"]["properties"]


def test_another_member_and_another_type_are_seen() -> None:
    good = {"private": "a", "public": "b", "public_key": "c", "fingerprint": "d"}
    hold("keygen", good)
    for bad in ({**good, "more": 1}, {**good, "public": None}, {"private": "a"}):
        with pytest.raises(Exception, match=r"more|None|required"):
            hold("keygen", bad)
