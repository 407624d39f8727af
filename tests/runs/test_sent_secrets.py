"""Secrets that are sent, as a run begins: where the agent finds what, and what ends a run before it begins."""

from __future__ import annotations

import pytest
from tests.runs.launch import Place, write_policy

pytestmark = pytest.mark.sandbox

TOKEN = "Tk-9f3A7c51d2e8-b640"
TO = 'to = ["api.example.com"]\n'


def write(source: str, more: str = TO, tables: str = "") -> str:
    return write_policy(
        "api.example.com", more=f'[[secret]]\nname = "token"\nfrom = {source}\n{more}{tables}'
    )


def test_the_agent_finds_a_placeholder_and_its_file_empty(place: Place) -> None:
    (place.work / "token").write_text(TOKEN + "\n")
    script = "cat token; echo $TOKEN; env"
    ended = place.run(write('{ file = "token" }', TO + 'env = "TOKEN"\n'), "bash", "-c", script)
    assert (ended.code, TOKEN in ended.text) == (0, False)
    assert ended.text.startswith("trio-egress-placeholder-token-")
    plain = place.run(write('{ file = "token" }', ""), "bash", "-c", script)
    assert plain.text.startswith(TOKEN), "the control: without `to` it is there to be read"
    assert (place.work / "token").read_text() == TOKEN + "\n"


def test_a_command_tells_it_outside_and_before(place: Place) -> None:
    program = place.write("tell", f"#!/bin/sh\ntouch told\necho {TOKEN}\n", 0o755)
    policy = write(
        f'{{ command = ["{program}"] }}', TO + 'env = "TOKEN"\nplaceholder = "tok_0000placeholder0000"\n'
    )
    ended = place.run(policy, "bash", "-c", "echo $TOKEN; env", environment={"SAME": TOKEN})
    assert ended.text.startswith("tok_0000placeholder0000\n")
    assert "SAME=tok_0000placeholder0000\n" in ended.text
    assert TOKEN not in ended.text
    assert (place.work / "told").exists()


REFUSED = {
    "a command that fails": (
        write('{ command = ["false"] }', TO + 'env = "T"\n'),
        [],
        "ended with exit code 1",
    ),
    "a name in pass": (write('{ env = "MY" }', tables='[env]\npass = ["MY"]\n'), [], "[env] pass names MY"),
    "an argument": (
        write('{ env = "MY" }'),
        [f"--token={TOKEN}"],
        "the command has the value of the secret token",
    ),
    "a host without a rule": (
        write('{ env = "MY" }', 'to = ["b.example"]\n'),
        [],
        "no rule allows requests to b.ex",
    ),
}


@pytest.mark.parametrize(("policy", "arguments", "said"), REFUSED.values(), ids=REFUSED)
def test_what_could_give_it_away_ends_a_run_before_it_begins(
    place: Place, policy: str, arguments: list[str], said: str
) -> None:
    ended = place.run(policy, "touch", "ran", *arguments, environment={"MY": TOKEN})
    assert ended.code in (64, 125)
    assert said in ended.err
    assert TOKEN not in ended.err
    assert not (place.work / "ran").exists()
    assert not ended.evidence.exists()
