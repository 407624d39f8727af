"""What a SARIF export says, checked by the schema of the standard and by Microsoft's validator with GitHub's rules."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.evidence.specimens import Scribe
from tests.views.pictures import (
    POLICY,
    RULED,
    take,
    take_broken,
    take_hostile,
    verify_unreadable,
    write_lines,
    write_packet,
)

from trio_egress.views import sarif
from trio_egress.views.picture import Picture
from trio_egress.views.sarif import RESULTS, render_sarif
from trio_egress.views.sarif_found import Detections

Json = dict[str, Any]

GITHUB_BYTES = 10_000_000
"""The most that code scanning takes, compressed."""


@pytest.fixture(scope="session")
def schema(multitool: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads((multitool / "sarif-2.1.0.json").read_text("utf-8-sig")))


def export(picture: Picture) -> Json:
    text = "".join(render_sarif(picture))
    assert text.isascii()
    log: Json = json.loads(text)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [r["ruleId"] for r in run["results"]]
    return log


def list_results(log: Json) -> list[tuple[str, str, str, int]]:
    """Rule, level, file and line of each."""
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    return [
        (result["ruleId"], result["level"], place["artifactLocation"]["uri"], place["region"]["startLine"])
        for result, place in zip(log["runs"][0]["results"], places, strict=True)
    ]


def validate(multitool: Path, place: Path, logs: Mapping[str, Json]) -> dict[str, list[str]]:
    """What the validator has to say of each, as level and rule."""
    for name, log in logs.items():
        (place / f"{name}.sarif").write_text(json.dumps(log))
    ran = subprocess.run(
        [
            multitool / "Sarif.Multitool",
            "validate",
            "*.sarif",
            "--output",
            "said",
            "--rule-kind",
            "Sarif;Gh;Ghas",
        ],
        cwd=place,
        env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert f"Done. {len(logs)} files scanned." in ran.stdout, ran.stdout + ran.stderr
    said = re.findall(r"(\w+)\.sarif\(.*?\): (error \w+|warning \w+)", ran.stdout)
    return {name: [words for file, words in said if file == name] for name in logs}


def test_denials_stand_at_the_lines_of_the_policy_in_the_repository(tmp_path: Path) -> None:
    log = export(take(write_packet(tmp_path / "audit" / "run", write_lines()), root=tmp_path))
    assert list_results(log) == [
        ("denied/method", "warning", "ci/agent.toml", 5),
        ("denied/default_deny", "warning", "ci/agent.toml", 3),
        ("denied/default_deny", "warning", "ci/agent.toml", 3),
        ("denied/kernel", "warning", "ci/agent.toml", 3),
        ("denied/kernel", "warning", "ci/agent.toml", 3),
    ]
    assert POLICY.splitlines()[2].startswith(b"default_deny")
    assert POLICY.splitlines()[4] == b"[[egress]]"
    assert [result.get("occurrenceCount") for result in log["runs"][0]["results"]] == [1, 1, 20, 3, 2]


def test_where_the_policy_is_not_in_the_repository_its_copy_in_the_packet_is_shown(tmp_path: Path) -> None:
    packet = write_packet(tmp_path / "audit" / "run", write_lines(), config_path="/etc/agent.toml")
    assert list_results(export(take(packet, root=tmp_path)))[0][2:] == ("audit/run/policy.toml", 5)


def test_it_is_sarif_and_what_github_takes(
    tmp_path: Path, multitool: Path, schema: Draft202012Validator
) -> None:
    honest = export(take(write_packet(tmp_path / "audit", write_lines()), root=tmp_path))
    hostile = export(take_hostile(tmp_path / "hostile"))
    wrong = export(take(tmp_path / "audit"))
    wrong["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    wrong["runs"][0]["results"][1]["surprise"] = True
    assert [len(list(schema.iter_errors(log))) for log in (honest, hostile, wrong)] == [0, 0, 2]
    place = tmp_path / "logs"
    place.mkdir()
    said = validate(multitool, place, {"honest": honest, "hostile": hostile, "wrong": wrong})
    # There is no address where the project lives.
    assert said["honest"] == said["hostile"] == ["warning SARIF2005"]
    assert any(words.startswith("error") for words in said["wrong"])


def test_a_packet_that_does_not_verify_says_so_first(tmp_path: Path, schema: Draft202012Validator) -> None:
    log = export(take_broken(tmp_path / "audit"))
    assert list(schema.iter_errors(log)) == []
    results = list_results(log)
    assert results[0] == ("evidence/verdict", "error", "audit/evidence.jsonl", 1)
    assert ("evidence/chain.link", "error", "audit/evidence.jsonl", 5) in results
    assert ("denied/default_deny", "warning", "audit/policy.toml", 3) in results
    assert any(rule == "denied/kernel" for rule, *_ in results)
    (told,) = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert told["level"] == "error"
    assert told["message"]["text"].startswith("THE PACKET DOES NOT VERIFY")


def test_a_valid_packet_says_nothing_of_a_verdict(tmp_path: Path) -> None:
    log = export(take(write_packet(tmp_path, Scribe(RULED).open().allow().close().lines)))
    assert log["runs"][0]["results"] == []
    assert "toolExecutionNotifications" not in log["runs"][0]["invocations"][0]
    log = export(take(tmp_path, pinned=False))
    assert [rule for rule, *_ in list_results(log)] == ["evidence/verdict"]


def test_whatever_stands_in_receipts_is_plain_text(tmp_path: Path) -> None:
    log = export(take_hostile(tmp_path / "audit"))
    texts = [result["message"]["text"] for result in log["runs"][0]["results"]]
    assert any("\\x1b[31m" in text for text in texts)
    assert all(text.isascii() and text.isprintable() for text in texts)
    assert not any(mark in text for text in texts for mark in ("](", "{", "}"))
    assert {rule for rule, *_ in list_results(log) if rule.startswith("denied/")} == {"denied/unknown"}


def test_what_cannot_be_read_is_one_result(tmp_path: Path) -> None:
    log = export(verify_unreadable(tmp_path / "nowhere"))
    assert [(rule, level) for rule, level, *_ in list_results(log)] == [("evidence/verdict", "error")]
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_another_run_gives_the_same_denial_the_same_fingerprint(tmp_path: Path) -> None:
    def fingerprints(hosts: list[str], name: str) -> dict[str, str]:
        scribe = Scribe(RULED).open()
        for host in hosts:
            scribe.block(host)
        log = export(take(write_packet(tmp_path / name, scribe.close().lines)))
        return {
            result["message"]["text"]: result["partialFingerprints"]["primaryLocationLineHash"]
            for result in log["runs"][0]["results"]
        }

    once = fingerprints(["a.example", "b.example"], "one")
    again = fingerprints(["c.example", "b.example", "a.example"], "other")
    assert len(set(again.values())) == 3
    assert {text: again[text] for text in once} == once


def test_more_than_github_takes_is_counted_in_the_last_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sarif, "RESULTS", 4)
    scribe = Scribe(RULED).open()
    for number in range(9):
        scribe.block(f"{number}.example")
    log = export(take(write_packet(tmp_path, scribe.close().lines)))
    assert [rule for rule, *_ in list_results(log)] == ["denied/default_deny"] * 3 + ["evidence/left-out"]
    assert "6 more denials" in log["runs"][0]["results"][-1]["message"]["text"]


def test_the_longest_export_is_one_that_github_takes(tmp_path: Path) -> None:
    dice, scribe = random.Random(1), Scribe(RULED).open()
    share = 125
    for _ in range(RESULTS // share):
        # Cut long before its end: no more of it counts.
        noise = "".join(chr(dice.randrange(33, 127)) for _ in range(4000))
        facts = {**scribe.draft().facts, "reason": noise[::-1]}
        scribe.append(scribe.draft(verdict="block", layer="path", target=f"http://{noise}", facts=facts))
    text = "".join(render_sarif(take(write_packet(tmp_path, scribe.lines))))
    assert len(json.loads(text)["runs"][0]["results"]) == RESULTS // share + 1
    assert len(gzip.compress(text.encode())) * share < GITHUB_BYTES


def test_what_the_verifier_notes_is_a_notification(tmp_path: Path, schema: Draft202012Validator) -> None:
    log = export(take(write_packet(tmp_path, Scribe(RULED).open().lines)))
    assert list(schema.iter_errors(log)) == []
    told = log["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert [one["level"] for one in told] == ["warning", "note"]
    assert told[1]["message"]["text"].startswith("the chain is not closed")


def test_a_secret_that_was_asked_for_by_another_is_an_error(
    tmp_path: Path, schema: Draft202012Validator
) -> None:
    scribe = Scribe(RULED).open()
    scribe.append(scribe.draft("evil.example", verdict="block", layer="secret"))
    log = export(take(write_packet(tmp_path, scribe.close().lines)))
    assert list(schema.iter_errors(log)) == []
    assert [(rule, level) for rule, level, *_ in list_results(log)][-1] == ("denied/secret", "error")
    (rule,) = [rule for rule in log["runs"][0]["tool"]["driver"]["rules"] if rule["id"] == "denied/secret"]
    assert rule["properties"]["tags"] == ["security", "egress", "policy"]


def test_of_a_denial_no_more_is_kept_than_is_shown(tmp_path: Path) -> None:
    """However long its receipt is: 25,000 of them are kept."""
    scribe = Scribe().open()
    draft = scribe.draft(verdict="block", layer="default_deny")
    scribe.append(
        attrs.evolve(draft, target="tls://" + "t" * 50_000, facts={**draft.facts, "reason": "r" * 3000})
    )
    picture = take(write_packet(tmp_path, scribe.close().lines))
    denials, _ = sarif._gather(picture, RESULTS, Detections(picture))
    (denial,) = denials.values()
    kept = [value for value in attrs.astuple(denial) if isinstance(value, str)]
    assert len(kept) == 4
    assert all(len(text) < sarif.REASON_CHARS + 40 for text in kept)
