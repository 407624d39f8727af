"""What a run looks for of its own: found in what the agent sends, and in the agent's way where it was planted."""

from __future__ import annotations

import pytest
from tests.runs.launch import Place, write_policy

pytestmark = pytest.mark.sandbox

CANARY = '[[canary]]\nname = "aws"\nenv = "AWS_SECRET_ACCESS_KEY"\n'


def test_the_agent_finds_the_canary_and_not_what_the_caller_has(place: Place) -> None:
    policy = write_policy("api.example.com", more=f"scan = true\n{CANARY}")
    ended = place.run(
        policy,
        "bash",
        "-c",
        "echo -n $AWS_SECRET_ACCESS_KEY",
        environment={"AWS_SECRET_ACCESS_KEY": "of-the-caller"},
    )
    assert (ended.code, len(ended.text)) == (0, 40)
    plain = place.run(
        write_policy("api.example.com", more=CANARY), "bash", "-c", "echo -n $AWS_SECRET_ACCESS_KEY"
    )
    assert plain.text == "", "the control: where nothing is looked through nothing is planted"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[scan]\nfiles = ["none"]\n', "can't read the file none"),
        ('[scan]\ndetectors = { "no-such-detector" = "off" }\n', 'no detector is called "no-such-detector"'),
    ],
)
def test_what_can_not_be_looked_for_ends_a_run_before_it_begins(place: Place, more: str, said: str) -> None:
    ended = place.run(write_policy("api.example.com", more=f"scan = true\n{more}"), "touch", "ran")
    assert ended.code == 125
    assert said in ended.err
    assert not (place.work / "ran").exists()
