"""The packaged detectors: each finds what it is for, by itself, and nothing that only looks like it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest
from tests.content.vectors import FORMS, make_negatives, make_positives

from trio_egress.content.catalogue import CATALOGUE, read_catalogue, read_catalogue_file
from trio_egress.content.checks import CHECKS, find_check
from trio_egress.content.detector import Detector, Way
from trio_egress.content.matcher import Matcher
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.rules import read_rules
from trio_egress.content.scanner import Scanner
from trio_egress.model import Action, Kind
from trio_egress.policy.destination import parse_destination

SECRETS = read_catalogue_file("secrets").detectors
NAMES = [detector.name for detector in SECRETS]
SCANNER = Scanner(SECRETS, find_check=find_check)

PAGE = Path(__file__).parents[2] / "docs" / "scanning.md"
HEAD = "| detector | what it finds | check | by default | home |\n|---|---|---|---|---|\n"
EMPTY = "\nWhat has no value in it is no finding"

PLACES = ("{}", 'token: "{}"\n', '{{"a": "{}", "b": 1}}', "GET /x?token={}&y=1", "a\n{}\nb", "export T='{}'")


def open_re2(patterns: Sequence[str], database: bytes = b"") -> Matcher:
    return Re2Matcher(patterns)


def find(text: str) -> list[tuple[str, str]]:
    return [
        (finding.detector.name, finding.value.decode()) for finding in SCANNER.scan(text.encode(), Way.OUT)
    ]


def test_the_catalogue_has_no_problem_and_no_warning() -> None:
    texts = [
        files("trio_egress.content").joinpath(f"catalogue/{name}.toml").read_text("utf-8")
        for name in CATALOGUE
    ]
    read = [read_rules(text, f"catalogue/{name}.toml") for name, text in zip(CATALOGUE, texts, strict=True)]
    assert read == [read_catalogue_file(name) for name in CATALOGUE]
    assert [file.warnings for file in read] == [()] * len(CATALOGUE)
    assert read_catalogue()[: len(SECRETS)] == SECRETS


def test_each_detector_has_a_form_of_its_own() -> None:
    assert sorted(FORMS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_detector_is_for_is_found_wherever_it_stands(name: str) -> None:
    texts = make_positives(name)
    assert len({value for _, value in texts}) >= 3
    for text, value in texts:
        for place in PLACES:
            assert find(place.format(text)) == [(name, value)], place


@pytest.mark.parametrize("name", NAMES)
def test_what_only_looks_like_it_is_not_found(name: str) -> None:
    texts = make_negatives(name)
    assert len(set(texts)) >= 3
    for text in texts:
        for place in PLACES:
            assert find(place.format(text)) == [], text


def test_what_sts_answers_is_found_without_the_name_of_its_service() -> None:
    (_, value), *_ = make_positives("aws-secret-key")
    assert find(f'{{"Credentials": {{"SecretAccessKey": "{value}"}}}}') == [("aws-secret-key", value)]


def test_both_engines_find_the_same() -> None:
    text = "\n\n".join(text for name in NAMES for text, _ in make_positives(name, 2)).encode()
    other = Scanner(SECRETS, engine=open_re2)
    assert other.scan(text, Way.OUT) == SCANNER.scan(text, Way.OUT)
    assert {finding.detector.name for finding in other.scan(text, Way.OUT)} == set(NAMES)


@pytest.mark.parametrize("detector", SECRETS, ids=NAMES)
def test_a_detector_is_described_for_people_and_by_its_form(detector: Detector) -> None:
    assert detector.kind is Kind.SECRET
    assert detector.description[0].isupper()
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", detector.name)
    assert detector.action in (Action.BLOCK, Action.WARN)
    assert detector.entropy is not None or detector.check is not None
    assert detector.ways == Way.OUT


@pytest.mark.parametrize("detector", [each for each in SECRETS if each.home], ids=lambda each: str(each.name))
def test_a_home_is_a_destination_as_policies_have_them(detector: Detector) -> None:
    hosts = [home for home in detector.home if home != "*"]
    assert [str(parse_destination(host)) for host in hosts] == hosts
    assert not hosts or "*" not in detector.home


def render_table() -> str:
    rows = [
        f"| `{detector.name}` | {detector.description} | {f'`{detector.check}`' if detector.check else ''} | "
        f"{detector.action.value} | {', '.join(f'`{home}`' for home in detector.home)} |\n"
        for detector in SECRETS
    ]
    return "".join(rows)


def test_the_page_lists_what_the_catalogue_has() -> None:
    page = PAGE.read_text("utf-8")
    before, head, rest = page.partition(HEAD)
    found = f"{before}{head}{render_table()}{rest[rest.index(EMPTY) :]}"
    listed = ", ".join(f"`{name}`" for name in CHECKS)
    found = re.sub(r"(?m)^(The checks that a rule may name: ).*$", lambda line: f"{line[1]}{listed}.", found)
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(found, "utf-8")
    assert PAGE.read_text("utf-8") == found, "run this test with WRITE_DOCS=1 to write it"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_detector_is_for_is_found_in_a_line_of_a_json_string(name: str) -> None:
    for text, _ in make_positives(name):
        message = json.dumps({"messages": [{"role": "user", "content": f"look at this\n{text}\nplease"}]})
        assert name in [found for found, _ in find(message)]
