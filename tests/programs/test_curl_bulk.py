"""Much data by curl: whole, counted, with the supervisor's memory bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.servers import Web
from tests.runs.launch import AGENT, PROXY, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PEAK_KIB = 128 * 1024
"""A supervisor that has done nothing has 45 MiB; one that kept what it relays would have a thousand."""

HEADS = 4096
"""The most that the heads of one request or answer take here."""

GIB = 1 << 30
MARKS = range(0, GIB, GIB // 64)
UPLOAD_BYTES = 64 << 20


@pytest.fixture(scope="module")
def big_file(one_web: Web) -> Iterator[Path]:
    """1 GiB, nearly all of it a hole, with marks so that what is lost, doubled or moved shows."""
    path = one_web.root / "big"
    with path.open("xb") as file:
        for mark in MARKS:
            file.seek(mark)
            file.write(b"at %d\n" % mark)
        file.truncate(GIB)
    yield path
    path.unlink()


@pytest.fixture
def policy(web: Web) -> str:
    return write_policy("api.example.com", pins=web.pins("api.example.com"))


DOWNLOAD = 'set -o pipefail; curl -sSf --cacert "$1" $3 "$2" | cmp - "$4"'


@pytest.mark.parametrize(("scheme", "door"), [("https", ""), ("http", f"-x {PROXY}")])
def test_a_gibibyte_comes_down_whole_and_counted(
    place: Place, web: Web, big_file: Path, policy: str, scheme: str, door: str
) -> None:
    url = f"{scheme}://api.example.com/big"
    ended = place.run(policy, "bash", "-c", DOWNLOAD, "sh", web.authority, url, door, big_file)
    assert (ended.code, ended.text) == (0, "")
    overhead = GIB // 100 if scheme == "https" else 0
    assert GIB < ended.outcome.down < GIB + overhead + HEADS
    assert 0 < ended.outcome.up < 64 * HEADS + overhead
    assert ended.peak_kib < PEAK_KIB
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.fixture
def upload(place: Place) -> Path:
    """A file of the agent's that does not compress."""
    path = place.work / "upload"
    path.write_bytes(hashlib.shake_128(b"upload").digest(UPLOAD_BYTES))
    return path


@pytest.mark.parametrize("door", [[], ["-x", PROXY]])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_big_upload_arrives_whole_and_counted(
    place: Place, web: Web, policy: str, upload: Path, scheme: str, door: list[str], chunked: bool
) -> None:
    stored = web.root / "put" / place.path.name
    url = f"{scheme}://api.example.com/put/{stored.name}"
    # No Content-Length for what comes from standard input, so HTTP/1.1 sends it in chunks.
    what = ["-T", "-", "--http1.1"] if chunked else ["-T", str(upload)]
    with upload.open("rb") as stdin:
        ended = place.run(
            policy,
            *["curl", "-sS", "--cacert", str(web.authority), *door, *what, "-w", "%{http_code}", url],
            stdin=stdin,
        )
    assert (ended.code, ended.text) == (0, "201")
    assert stored.read_bytes() == upload.read_bytes()
    stored.unlink()
    assert UPLOAD_BYTES < ended.outcome.up < UPLOAD_BYTES * 1.02
    assert ended.outcome.down < 2 * HEADS
    assert ended.peak_kib < PEAK_KIB
    assert ended.verify() == 0


@pytest.mark.parametrize("door", [[], ["-x", PROXY]])
def test_an_upload_that_waits_for_100_continue_gets_it(
    place: Place, web: Web, policy: str, upload: Path, door: list[str]
) -> None:
    """A proxy that keeps the 100 to itself would cost the client its whole time-out."""
    command = ["curl", "-sS", *door, "-H", "Expect: 100-continue", "--expect100-timeout", "60", "--http1.1"]
    ended = place.run_timed(
        policy, *command, "--data-binary", f"@{upload}", "-w", "%{http_code}", "http://api.example.com/take"
    )
    assert (ended.code, ended.text) == (0, f"hello http 127.0.0.1:{web.http} POST\n200")
    assert ended.took < 60
    assert any(request["expect"] == "100-continue" for request in web.take_requests())
    assert ended.outcome.up > UPLOAD_BYTES
    assert ended.verify() == 0


def test_a_denied_upload_that_waits_for_100_continue_never_sends_it(
    place: Place, web: Web, upload: Path
) -> None:
    more = '[[egress]]\ndestination = "api.example.com"\nmethods = ["GET"]\n'
    policy = write_policy(more=more, pins=web.pins("api.example.com"))
    command = ["curl", "-sS", "-H", "Expect: 100-continue", "--expect100-timeout", "60"]
    report = ["-w", "\n%{http_code} %{size_upload}"]
    url = "http://api.example.com/take"
    ended = place.run_timed(policy, *command, *report, "--data-binary", f"@{upload}", url)
    assert ended.text.splitlines()[-1] == "403 0"
    assert web.take_requests() == []
    assert ended.verify() == 0


def test_a_denied_upload_that_does_not_wait_sees_the_answer_all_the_same(
    place: Place, web: Web, upload: Path
) -> None:
    more = '[[egress]]\ndestination = "api.example.com"\nmethods = ["GET"]\n'
    policy = write_policy(more=more, pins=web.pins("api.example.com"))
    command = ["curl", "-sS", "-H", "Expect:", "-w", "\n%{http_code}", "--data-binary", f"@{upload}"]
    ended = place.run_timed(policy, *command, "http://api.example.com/take")
    assert ended.text.splitlines()[-1] == "403"
    assert "allows GET, not POST" in ended.text
    assert web.take_requests() == []
    assert ended.verify() == 0


def test_the_agent_owns_its_work(place: Place) -> None:
    """The control of the above: files are read and written by the agent's own user."""
    ended = place.run(write_policy(), "sh", "-c", "id -u; echo x >mine")
    assert ended.text == f"{AGENT.pw_uid}\n"
    assert (place.work / "mine").stat().st_uid == AGENT.pw_uid
