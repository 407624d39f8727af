"""Plain TCP by name, with real servers and clients: PostgreSQL with TLS and without, Redis, SMTP with STARTTLS, git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.services import CACHE, DATABASE, EVIL, GIT, MAIL, NAMES, Services, open_services
from tests.runs.launch import Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

SEND = """
import smtplib, ssl, sys
host, authority = sys.argv[1:]
with smtplib.SMTP(host, 25) as client:
    client.starttls(context=ssl.create_default_context(cafile=authority))
    client.sendmail("a@example.com", ["b@example.com"], "Subject: x\\r\\n\\r\\nfrom inside\\r\\n")
print("sent")
"""


@pytest.fixture(scope="module")
def services(servers_place: Path) -> Iterator[Services]:
    place = servers_place / "services"
    place.mkdir()
    with open_services(place) as opened:
        yield opened


def rules(more: str = "") -> str:
    rule = '[[egress]]\ndestination = "{}:{}"\nprotocol = "tcp"\n'
    return "".join(rule.format(name, port) + more for name, port in NAMES.items())


def ask_database(host: str, mode: str, query: str, port: int = 5432) -> str:
    return f'psql -XAtq "host={host} port={port} user=app dbname=postgres sslmode={mode}" -c "{query}"'


def test_each_is_spoken_to_by_name(place: Place, services: Services) -> None:
    place.write("send.py", SEND)
    script = "\n".join(
        (
            ask_database(
                DATABASE, "verify-full", "select ssl, version from pg_stat_ssl where pid=pg_backend_pid()"
            ),
            ask_database(DATABASE, "disable", "select ssl from pg_stat_ssl where pid=pg_backend_pid()"),
            f"redis-cli -h {CACHE} set key value && redis-cli -h {CACHE} get key",
            f"python3 {place.path}/send.py {MAIL} {services.authority}",
            f"git clone -q git://{GIT}/repo.git copy && git -C copy rev-parse HEAD",
        )
    )
    variables = {"PGSSLROOTCERT": str(services.authority)}
    policy = write_policy(more=rules(), pins=services.pins)
    ended = place.run(policy, "bash", "-c", script, environment=variables)
    assert ended.text == f"t|TLSv1.3\nf\nOK\nvalue\nsent\n{services.tip}"
    assert "from inside" in services.mail.read_text()
    told = [
        (outcome.facts["proto"], outcome.facts["host"], outcome.facts["port"]) for outcome in ended.outcomes
    ]
    names = [DATABASE, DATABASE, CACHE, CACHE, MAIL, GIT]
    assert told == [("tcp", name, NAMES[name]) for name in names]
    assert all(outcome.up and outcome.down and outcome.facts["duration_us"] for outcome in ended.outcomes)
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_each_is_refused_by_another_name_and_at_another_port(place: Place, services: Services) -> None:
    """They lead to the same servers: it is the name that is judged."""
    place.write("send.py", SEND)
    script = "\n".join(
        (
            ask_database(EVIL, "disable", "select 1"),
            f"redis-cli -h {EVIL} get key",
            f"python3 {place.path}/send.py {EVIL} {services.authority} 2>&1 | tail -1",
            f"git clone -q git://{EVIL}/repo.git copy",
            ask_database(DATABASE, "disable", "select 1", port=5433),
            "true",
        )
    )
    ended = place.run(write_policy(more=rules(), pins=services.pins), "bash", "-c", script)
    assert "sent" not in ended.text
    assert not (place.work / "copy").exists()
    assert {query.reason for query in ended.queries if query.verdict == "block"} == {f"no rule allows {EVIL}"}
    assert {(block.facts["host"], block.facts["port"]) for block in ended.blocks} == {(DATABASE, 5433)}
    assert not [receipt for receipt in ended.receipts if receipt.phase == "outcome"]
    assert ended.verify() == 0


def test_a_tunnel_ends_when_its_budget_is_spent_and_says_so(place: Place, services: Services) -> None:
    script = "\n".join(
        (
            ask_database(DATABASE, "disable", "select repeat('x', 1000000)") + " | wc -c",
            ask_database(DATABASE, "disable", "select 1"),
            f"redis-cli -h {CACHE} get key >/dev/null && echo still",
        )
    )
    policy = write_policy(more=rules('limits = { bytes_down = "100 KiB" }\n'), pins=services.pins)
    ended = place.run(policy, "bash", "-c", script)
    assert ended.text == "0\nstill\n"
    cut, other = ended.outcomes
    assert (cut.layer, cut.down) == ("limit", 100 * 1024)
    assert "102400 bytes down in the whole run, and these are used up" in cut.reason
    assert (other.facts["host"], other.layer) == (CACHE, "rule")
    assert (ended.block.facts["host"], ended.block.layer) == (DATABASE, "limit")
    assert ended.verify() == 0
