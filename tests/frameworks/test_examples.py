"""Each example runs with the real package and without a network, and its agent reads what was denied and acts on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.runs.launch import ENVIRONMENT, PATIENCE_SECONDS, Place

from trio_egress.verification import verify

pytestmark = pytest.mark.sandbox

EXAMPLES = Path(__file__).parents[2] / "examples" / "frameworks"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("with_*.py")), ids=lambda path: path.stem)
def test_the_agent_reads_what_was_denied_and_does_without(place: Place, example: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(example), str(place.work)],
        capture_output=True,
        text=True,
        cwd=place.work,
        env=ENVIRONMENT,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    print(ran.stdout, ran.stderr)  # for whoever reads of a failure
    assert ran.returncode == 0
    assert "I do without the page" in ran.stdout
    assert "no rule allows 203.0.113.7:8080" in ran.stdout
    packets = list((place.work / "trio-egress-audit").iterdir())
    assert packets
    assert [verify(packet).finding_count for packet in packets] == [0] * len(packets)
