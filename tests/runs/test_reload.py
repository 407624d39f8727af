"""Another policy for a run that lives: taken whole or not at all, with a receipt, and open connections told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.runs.launch import ENVIRONMENT, Place, Started, read_lines, wait_until, write_policy

from trio_egress.review import review

pytestmark = pytest.mark.sandbox

KEEPS_TWO_OPEN = """
for name in a b; do
  (exec 3<>/dev/tcp/$name.example.com/PORT; echo hello >&3; touch $name.open; cat <&3; touch $name.ended) &
done
until [ -e go ]; do sleep 0.02; done
exit 5
"""


@pytest.fixture
def server() -> Iterator[int]:
    """Takes connections, and says nothing for as long as they last."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, kept))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # closing it would not wake who waits in accept
        thread.join()
    for sock in kept:
        sock.close()


def serve(listener: socket.socket, kept: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            kept.append(listener.accept()[0])


def policy(port: int, *names: str, more: str = "") -> str:
    pins = {f"{name}.example.com": "127.0.0.1" for name in "ab"}
    return write_policy(*[f"{name}.example.com:{port}" for name in names], pins=pins, more=more)


def start(place: Place, port: int, more: str = "") -> tuple[Started, Path]:
    """A run with two open connections, and its policy's file."""
    started = place.start(
        policy(port, "a", "b", more=more), "bash", "-c", KEEPS_TWO_OPEN.replace("PORT", str(port))
    )
    wait_until(lambda: all((place.work / f"{name}.open").exists() for name in "ab"), "two connections")
    wait_until(lambda: intents(started) == 2, "their receipts")
    return started, place.path / "policy-0.toml"


def intents(started: Started) -> int:
    records = [line["action_record"] for line in read_lines(started.evidence)]
    return sum(record.get("decision_phase") == "intent" for record in records)


def reload(started: Started, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", "policy", "reload", *options, str(started.evidence)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


def test_what_is_not_allowed_any_more_ends_and_the_rest_goes_on(place: Place, server: int) -> None:
    started, file = start(place, server)
    file.write_text(policy(server, "a"))
    ran = reload(started)
    assert ran.returncode == 0, ran.stderr
    assert "open connections: 1 kept, 1 ended" in ran.stdout
    wait_until((place.work / "b.ended").exists, "the end of one connection")
    assert not (place.work / "a.ended").exists()
    (place.work / "go").touch()
    ended = started.wait()
    assert ended.code == 5
    outcomes = {outcome.target: outcome for outcome in ended.outcomes}
    cut = outcomes[f"tcp://b.example.com:{server}"]
    assert (cut.verdict, cut.layer) == ("block", "default_deny")
    assert cut.facts["reason"].startswith("the policy was changed: no rule allows b.example.com")
    assert outcomes[f"tcp://a.example.com:{server}"].verdict == "allow"
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
    assert (ended.evidence / "policy-2.toml").read_text() == policy(server, "a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("surprise = 1\n", "unknown key"),
        ("[limits]\nprocesses = 77\n", "[limits] can't change during a run"),
        ("[files]\nhide = ['x']\n[env]\npass = ['PATH']\n", "[files] and [env] can't change during a run"),
        (
            '[[egress]]\ndestination = "c.example.com"\nwebsocket = { proxy_path = "/ws?url=" }\n',
            "`proxy_path` can't change during a run",
        ),
        (None, "cannot read the policy"),
    ],
)
def test_what_is_no_policy_for_this_run_changes_nothing(
    place: Place, server: int, text: str | None, words: str
) -> None:
    started, file = start(place, server)
    if text is None:
        file.unlink()
    else:
        file.write_text(policy(server, "a", more=text) if text.startswith("[") else text + file.read_text())
    ran = reload(started)
    assert ran.returncode == 1, ran.stdout
    assert words in ran.stderr
    assert "\\" not in ran.stderr  # of several lines the first
    assert not (place.work / "b.ended").exists()
    (place.work / "go").touch()
    ended = started.wait()
    assert ended.code == 5
    assert ended.verify() == 0
    assert not (ended.evidence / "policy-2.toml").exists()


def test_sighup_alone_does_it_and_never_reaches_the_agent(place: Place, server: int) -> None:
    started, file = start(place, server)
    file.write_text(policy(server, "b"))
    started.send(signal.SIGHUP)
    wait_until((place.work / "a.ended").exists, "the end of one connection")
    (place.work / "go").touch()
    ended = started.wait()
    assert ended.code == 5
    assert ended.verify() == 0


def test_what_was_asked_under_the_old_policy_is_recorded_under_it(place: Place) -> None:
    """Queries that repeat are summed up by the second: a sum never tells of two policies."""
    names = "b.example.com " * 3
    script = f"touch asks; until [ -e go ]; do dig +short +tries=1 @8.8.8.8 {names}; done"
    started = place.start(policy(443, "a", "b"), "bash", "-c", script)
    file = place.path / "policy-0.toml"
    wait_until((place.work / "asks").exists, "the agent")
    wait_until(lambda: len(read_lines(started.evidence)) > 2, "a receipt of a query")
    for names in ("a", "ab", "a"):
        file.write_text(policy(443, *names))
        ran = reload(started)
        assert ran.returncode == 0, ran.stderr
    (place.work / "go").touch()
    ended = started.wait()
    report = review(ended.evidence, [place.key.public_hex])
    assert (report.exit_code, report.findings) == (0, ())


def test_a_pipe_in_place_of_the_policy_holds_nothing_up(place: Place, server: int) -> None:
    started, file = start(place, server)
    file.unlink()
    os.mkfifo(file)
    ran = reload(started)
    assert ran.returncode == 1, ran.stdout
    assert "not a plain file" in ran.stderr
    file.unlink()
    file.write_text(policy(server, "a"))
    assert reload(started).returncode == 0
    (place.work / "go").touch()
    assert started.wait().verify() == 0


def test_a_run_that_is_over_cannot_be_asked(place: Place, server: int) -> None:
    started, _ = start(place, server)
    (place.work / "go").touch()
    ended = started.wait()
    assert not (ended.evidence / "supervisor.pid").exists()
    ran = reload(started)
    assert ran.returncode == 2
    assert "no run lives in" in ran.stderr


def test_the_process_of_a_killed_run_is_not_taken_for_another(place: Place, server: int) -> None:
    started, _ = start(place, server)
    started.send(signal.SIGKILL)
    started.wait()
    ran = reload(started)
    assert ran.returncode == 2
    assert "its process is gone" in ran.stderr


WRITES_IT = """
touch ready
until echo "# the agent's" 2>>said >>trio-egress.toml; do sleep 0.02; done
touch written
until [ -e go ]; do sleep 0.02; done
"""
MOVES_THE_LINK = """
echo "$OWN" >own.toml; ln -sfn own.toml trio-egress.toml; touch ready
until [ -e go ]; do sleep 0.02; done
"""


def start_beside(place: Place, code: str, **environment: str) -> tuple[Started, Path]:
    """A run whose policy is in the agent's own directory."""
    file = place.work / "trio-egress.toml"
    if not file.is_symlink():
        file.write_text(write_policy("a.example.com"))
    file.chmod(0o666)
    options = ("--policy", "trio-egress.toml")
    started = place.start("", "bash", "-c", code, options=options, environment=environment)
    wait_until((place.work / "ready").exists, "the agent")
    return started, file


def end(place: Place, started: Started) -> None:
    (place.work / "go").touch()
    assert started.wait().verify() == 0


def test_a_policy_that_was_replaced_where_the_agent_can_write_is_not_read_again(place: Place) -> None:
    """The mount that makes it read-only goes with the file that it was on: the agent does write in the other one."""
    started, file = start_beside(place, WRITES_IT)
    other = place.write("other", write_policy("b.example.com"), 0o666)
    other.replace(file)
    wait_until((place.work / "written").exists, "the agent's own line")
    assert "the agent's" in file.read_text()
    ran = reload(started)
    assert ran.returncode == 1, ran.stdout
    assert "it is not the file that the run began with" in ran.stderr
    end(place, started)


def test_a_policy_that_is_written_in_its_place_is_read_again_from_where_the_agent_can_write(
    place: Place,
) -> None:
    started, file = start_beside(place, "touch ready; until [ -e go ]; do sleep 0.02; done")
    file.write_text(write_policy("b.example.com"))
    ran = reload(started)
    assert ran.returncode == 0, ran.stderr
    end(place, started)


def test_a_link_to_the_policy_leads_where_it_led_when_the_run_began(place: Place) -> None:
    target = place.write("policy.toml", write_policy("a.example.com"))
    (place.work / "trio-egress.toml").symlink_to(target)
    started, file = start_beside(place, MOVES_THE_LINK, OWN=write_policy("*.evil.example"))
    assert "evil" in file.read_text()
    target.write_text(write_policy("b.example.com"))
    ran = reload(started)
    assert ran.returncode == 0, ran.stderr
    (place.work / "go").touch()
    ended = started.wait()
    assert ended.verify() == 0
    assert "b.example.com" in (ended.evidence / "policy-2.toml").read_text()


def test_a_file_that_the_run_did_not_begin_with_is_not_included_from_where_the_agent_can_write(
    place: Place,
) -> None:
    started, file = start_beside(place, "touch ready; until [ -e go ]; do sleep 0.02; done")
    (place.work / "more.toml").write_text(write_policy("b.example.com"))
    file.write_text(write_policy().replace("true\n", 'true\ninclude = ["more.toml"]\n', 1))
    ran = reload(started)
    assert ran.returncode == 1, ran.stdout
    assert "it is not the file that the run began with" in ran.stderr
    end(place, started)


def test_tls_of_further_hosts_cannot_be_ended_by_a_reload(place: Place, server: int) -> None:
    """The authority of the run was made without them."""
    started, file = start(place, server)
    file.write_text(
        policy(server, "a", more='[[egress]]\ndestination = "c.example.com"\nmethods = ["GET"]\n')
    )
    ran = reload(started)
    assert ran.returncode == 1, ran.stdout
    assert "whose TLS is ended can't change during a run" in ran.stderr
    (place.work / "go").touch()
    assert started.wait().verify() == 0


def test_a_word_for_a_detector_that_is_none_changes_nothing(place: Place, server: int) -> None:
    """Else the one that is meant would do what it did before, and nobody would notice."""
    rule = '[[egress]]\ndestination = "c.example.com"\nscan = { detectors = { "%s" = "warn" } }\n'
    started, file = start(place, server, rule % "github-token")
    file.write_text(policy(server, "a", "b", more=rule % "github-tokn"))
    reloaded = reload(started)
    (place.work / "go").touch()
    ended = started.wait()
    assert reloaded.returncode != 0
    assert 'did you mean "github-token"' in reloaded.stdout + reloaded.stderr
    assert ended.code == 5
    assert ended.verify() == 0
