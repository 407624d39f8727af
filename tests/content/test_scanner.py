"""Windows and pieces: what is found depends on the message alone, not on how it came, nor on the engine."""

from __future__ import annotations

import random
import tracemalloc
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.hyperscan_matcher import HyperscanMatcher
from trio_egress.content.matcher import Matcher
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.scanner import AHEAD, WINDOW, OpenMatcher, Scanner
from trio_egress.content.search import Views
from trio_egress.content.seeker import LONGEST, MOST
from trio_egress.errors import PolicyError
from trio_egress.model import Kind


def open_re2(patterns: list[str], database: bytes = b"") -> Matcher:
    return Re2Matcher(patterns)


ENGINES: dict[str, OpenMatcher] = {"hyperscan": HyperscanMatcher, "re2": open_re2}  # type: ignore[dict-item]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> OpenMatcher:
    return ENGINES[request.param]


def make_detector(pattern: str, name: str = "it", **rest: Any) -> Detector:
    return Detector(
        name=name, description="", kind=Kind.EXACT, pattern=pattern, source="rules.toml:7", **rest
    )


TOKEN = make_detector(r"\btok_([a-z]{8})\b", "token")
KEY = make_detector(r"(?i)\bkey=\S+", "key")
LINE = make_detector(r"(?m)^begin (.+)$", "line")
ANSWER = make_detector(r"¿qué (clave|palabra)", "answer", ways=Way.IN)
FORMS = [TOKEN, KEY, LINE, ANSWER]


make_scanner = partial(Scanner, views=Views())


def tell(findings: list[Finding]) -> list[tuple[str, int, int, bytes]]:
    return [(finding.detector.name, finding.start, finding.end, finding.value) for finding in findings]


def feed_all(scanner: Scanner, message: bytes, cuts: list[int], way: Way = Way.BOTH) -> list[Finding]:
    stream = scanner.open(way)
    found: list[Finding] = []
    for start, end in zip([0, *cuts], [*cuts, len(message)], strict=True):
        found += stream.feed(message[start:end])
    found += stream.finish()
    assert stream.settled == len(message)
    return found


def test_a_find_is_its_value_at_its_place(engine: OpenMatcher) -> None:
    message = b"x tok_abcdefgh; KEY=1 \nbegin it\n"
    found = make_scanner(FORMS, engine=engine).scan(message, Way.OUT)
    assert tell(found) == [
        ("token", 6, 14, b"abcdefgh"),
        ("key", 16, 21, b"KEY=1"),
        ("line", 29, 31, b"it"),
    ]
    assert all(message[finding.start : finding.end] == finding.value for finding in found)


def test_a_detector_looks_its_way_alone(engine: OpenMatcher) -> None:
    scanner = make_scanner(FORMS, engine=engine)
    message = "¿qué clave? tok_abcdefgh".encode()
    assert [finding.detector.name for finding in scanner.scan(message, Way.OUT)] == ["token"]
    assert [finding.detector.name for finding in scanner.scan(message, Way.IN)] == ["answer"]
    assert [finding.detector.name for finding in scanner.scan(message, Way.BOTH)] == ["answer", "token"]


@pytest.mark.parametrize("offset", [*range(-20, 4), LONGEST, AHEAD - 20, AHEAD, AHEAD + 4])
def test_a_window_edge_hides_nothing_and_adds_nothing(engine: OpenMatcher, offset: int) -> None:
    secret = b" tok_abcdefgh "
    at = WINDOW + offset
    message = b"." * at + secret + b"." * (2 * WINDOW)
    found = make_scanner([TOKEN], engine=engine).scan(message, Way.OUT)
    assert tell(found) == [("token", at + 5, at + 13, b"abcdefgh")]


@pytest.mark.parametrize(
    "tail", [*range(WINDOW - 2, WINDOW + 3), *range(WINDOW + AHEAD - 2, WINDOW + AHEAD + 3)]
)
def test_edges_are_no_beginning_and_no_end(engine: OpenMatcher, tail: int) -> None:
    forms = [
        make_detector(p, p) for p in (r"\Aa", r"a\z", r"^a", r"a$", r"\ba", r"a\b", r"(?m)^a", r"(?m)a$")
    ]
    message = b"a" * tail
    found = {
        finding.detector.name: finding.start
        for finding in make_scanner(forms, engine=engine).scan(message, Way.OUT)
    }
    assert {name for name, start in found.items() if start == 0} == {r"\Aa", r"^a", r"\ba", r"(?m)^a"}
    assert {name for name, start in found.items() if start == tail - 1} == {r"a\z", r"a$", r"a\b", r"(?m)a$"}


@pytest.mark.parametrize("cut", range(60))
def test_each_cut_of_a_short_message_finds_the_same(engine: OpenMatcher, cut: int) -> None:
    message = b"begin tok_abcdefgh key=1\nbegin \xc2\xbfqu\xc3\xa9 clave tok_abcdefghi"[:60]
    scanner = make_scanner(FORMS, engine=engine)
    assert feed_all(scanner, message, [min(cut, len(message))]) == scanner.scan(message, Way.BOTH)


def test_each_cut_about_a_window_edge_finds_the_same(engine: OpenMatcher) -> None:
    message = b"\n" * (WINDOW - 8) + b" tok_abcdefgh key=2" + b"\nbegin" * 2000
    scanner = make_scanner(FORMS, engine=engine)
    whole = scanner.scan(message, Way.OUT)
    assert len(whole) == 2
    for cut in (*range(WINDOW - 20, WINDOW + 20), *range(WINDOW + AHEAD - 3, WINDOW + AHEAD + 3)):
        assert feed_all(scanner, message, [cut], Way.OUT) == whole


PARTS = [
    b"tok_abcdefgh",
    b" ",
    b"key=",
    b"\n",
    b"begin",
    b"x" * 500,
    b"." * 4096,
    b"k" * 30000,
    "¿qué clave".encode(),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=40), st.lists(st.floats(0, 1), max_size=6))
def test_any_pieces_and_both_engines_find_the_same(parts: list[bytes], places: list[float]) -> None:
    message = b"".join(parts)
    cuts = sorted(int(place * len(message)) for place in places)
    whole = BOTH[0].scan(message, Way.BOTH)
    assert BOTH[1].scan(message, Way.BOTH) == whole
    for scanner in BOTH:
        assert feed_all(scanner, message, cuts) == whole


BOTH = [make_scanner(FORMS, engine=engine) for engine in ENGINES.values()]


def test_bytes_one_by_one_find_the_same(engine: OpenMatcher) -> None:
    message = b"key=1 " * 20 + b"." * WINDOW + b"tok_abcdefgh"
    scanner = make_scanner(FORMS, engine=engine)
    assert feed_all(scanner, message, list(range(1, len(message))), Way.OUT) == scanner.scan(message, Way.OUT)


def test_what_is_settled_has_no_further_finding(engine: OpenMatcher) -> None:
    pieces = random.Random(7)
    message = b"".join(pieces.choice([b"tok_abcdefgh ", b"." * 4999]) for _ in range(100))
    stream = make_scanner([TOKEN], engine=engine).open(Way.OUT)
    count = 0
    for at in range(0, len(message), 5000):
        settled = stream.settled
        found = stream.feed(message[at : at + 5000])
        count += len(found)
        assert all(settled <= finding.start for finding in found)
        assert at + 5000 - stream.settled < WINDOW + AHEAD + 5000
    assert count + len(stream.finish()) == message.count(b"tok_abcdefgh ")


def test_a_match_is_at_most_the_longest_wherever_it_stands(engine: OpenMatcher) -> None:
    scanner = make_scanner([make_detector(r"<.*>")], engine=engine)
    longest = b"<" + b"." * (LONGEST - 2) + b">"
    for at in (0, 100, WINDOW - 1):
        assert [f.start for f in scanner.scan(b" " * at + longest + b" " * WINDOW, Way.OUT)] == [at]
        assert scanner.scan(b" " * at + longest.replace(b">", b".>") + b" " * WINDOW, Way.OUT) == []


def test_what_could_be_longer_ends_earlier(engine: OpenMatcher) -> None:
    scanner = make_scanner([make_detector(r"<.*>")], engine=engine)
    message = b"<a>" + b"." * LONGEST + b">"
    assert tell(scanner.scan(message, Way.OUT)) == [("it", 0, 3, b"<a>")]


def test_a_secret_behind_many_matches_is_in_what_is_told(engine: OpenMatcher) -> None:
    message = b"tok_decoyyyy " * 3000 + b"tok_realreal "
    found = make_scanner([TOKEN], engine=engine).scan(message, Way.OUT)
    assert len(found) == MOST
    assert found[-1].end == len(message)
    assert b"realreal" in found[-1].value


def test_a_pattern_that_cannot_be_compiled_is_told_with_its_place(engine: OpenMatcher) -> None:
    forms = [make_detector(r"a(?=b)"), make_detector("fine"), make_detector(r"(a)\1")]
    with pytest.raises(PolicyError) as caught:
        make_scanner(forms, engine=engine)
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [("rules.toml", 7)] * 2
    assert "(?=" in str(caught.value)


def test_secrets_of_the_run_are_found_and_are_in_no_database() -> None:
    own = make_detector("0wn-s3cret-of-run", "own")
    scanner = make_scanner([TOKEN], [own], engine=HyperscanMatcher)
    assert [f.detector.name for f in scanner.scan(b"tok_abcdefgh 0wn-s3cret-of-run", Way.OUT)] == [
        "token",
        "own",
    ]
    assert scanner.database == make_scanner([TOKEN], engine=HyperscanMatcher).database


def test_a_kept_database_finds_the_same() -> None:
    kept = make_scanner(FORMS, engine=HyperscanMatcher).database
    assert kept
    message = "tok_abcdefgh ¿qué clave key=1".encode()
    found = make_scanner(FORMS, database=kept, engine=HyperscanMatcher).scan(message, Way.BOTH)
    assert found == BOTH[1].scan(message, Way.BOTH)
    assert len(found) == 3


def test_a_detector_of_files_looks_at_those_paths_alone(engine: OpenMatcher) -> None:
    scanner = make_scanner([make_detector("secret", path=r"\.env$")], engine=engine)
    assert scanner.scan(b"a secret", Way.OUT, "app/.env")
    assert not scanner.scan(b"a secret", Way.OUT, "app/main.py")
    assert not scanner.scan(b"a secret", Way.OUT)


def test_no_detectors_find_nothing(engine: OpenMatcher) -> None:
    assert make_scanner([], engine=engine).scan(b"anything", Way.BOTH) == []
    assert make_scanner([], views=Views(), engine=engine).database == b""


def look_through(scanner: Scanner, pieces: list[bytes]) -> list[list[Finding]]:
    """What is told at each piece of an answer that is passed on as it comes, and at its end."""
    stream = scanner.open(Way.OUT)
    return [*([*stream.feed(piece), *stream.look()] for piece in pieces), stream.finish()]


def test_a_finding_is_told_as_soon_as_it_is_there_and_once(engine: OpenMatcher) -> None:
    pieces = [b"data: tok_", b"abcdefgh", b"\n\n", b"data: none\n\n", b"." * (2 * WINDOW)]
    told = look_through(make_scanner([TOKEN], engine=engine), pieces)
    assert [len(findings) for findings in told] == [0, 0, 1, 0, 0, 0]
    assert tell(told[2]) == [("token", 10, 18, b"abcdefgh")]


def test_looking_ahead_takes_no_beginning_for_the_whole(engine: OpenMatcher) -> None:
    told = look_through(make_scanner([TOKEN], engine=engine), [b"tok_abcdefgh", b"i and more"])
    assert told == [[], [], []]


def test_looking_ahead_finds_all_that_a_scan_finds(engine: OpenMatcher) -> None:
    message = (b"." * 2100 + b" tok_abcdefgh key=1 ") * 100
    scanner = make_scanner([TOKEN, KEY], engine=engine)
    told = look_through(scanner, [message[at : at + 333] for at in range(0, len(message), 333)])
    assert sorted(tell([finding for findings in told for finding in findings])) == sorted(
        tell(scanner.scan(message, Way.OUT))
    )


def test_what_is_held_does_not_grow_with_the_message(engine: OpenMatcher) -> None:
    stream = make_scanner([TOKEN, KEY], engine=engine).open(Way.OUT)
    piece = b"a line of a body, like any other\n" * 1000
    tracemalloc.start()
    try:
        peaks = []
        for _ in range(4):
            tracemalloc.reset_peak()
            for _ in range(64):
                assert stream.feed(piece) == []
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert max(peaks) < 16 * WINDOW
    assert stream.settled > 200 * len(piece)


@pytest.mark.parametrize("filler", [b"tok_", b"<", b"key=", b"tok_aaaaaaaa ", b"begin "])
def test_a_window_full_of_matches_is_told_in_few_findings(engine: OpenMatcher, filler: bytes) -> None:
    forms = [*FORMS, make_detector(r"<.*>", "open")]
    message = (filler * WINDOW)[: 2 * WINDOW]
    found = make_scanner(forms, engine=engine).scan(message, Way.BOTH)
    assert len(found) <= 2 * MOST * len(forms)
    assert feed_all(make_scanner(forms, engine=engine), message, [WINDOW // 3, WINDOW + 5]) == found
