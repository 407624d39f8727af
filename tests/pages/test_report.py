"""report.html: what it says of each kind of run. What a browser makes of it is in test_browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from xml.etree import ElementTree

import attrs
import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evidence.specimens import STRANGER, Scribe, rewrite, setting, setting_fact
from tests.pages.specimens import (
    HOSTILE,
    POLICY,
    begin,
    deny_method,
    look_up,
    make_dossier,
    write_hostile,
    write_huge,
    write_messages,
    write_secrets,
    write_used_secrets,
    write_usual,
)

from trio_egress.pages.dossier import Dossier
from trio_egress.pages.report import CONTENT_POLICY, PAGE_BYTES, render_report
from trio_egress.pages.summary import render_summary
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.load import load_policy

SPACES = {"h": "http://www.w3.org/1999/xhtml"}


def parse(page: bytes) -> ElementTree.Element:
    """By the rules of WHATWG HTML, strictly: whatever is an error to a browser raises."""
    tree: ElementTree.Element = html5lib.HTMLParser(strict=True).parse(page.decode())
    return tree


def read(dossier: Dossier) -> tuple[ElementTree.Element, str]:
    """The page's tree, and all of its text."""
    tree = parse(render_report(dossier))
    body = tree.find("h:body", SPACES)
    assert body is not None
    return tree, re.sub(r"\s+", " ", "".join(body.itertext()))


def heading(tree: ElementTree.Element) -> str:
    return "".join("".join(h1.itertext()) for h1 in tree.iterfind(".//h:h1", SPACES))


def test_a_page_says_the_verdict_who_was_contacted_what_was_denied_and_how_to_verify() -> None:
    dossier = make_dossier(write_usual())
    tree, text = read(dossier)
    assert heading(tree) == "The agent reached 2 hosts; 22 attempts were denied."
    for said in (
        "Valid",
        "the run’s own word",
        "api.example.com",
        "738 B",
        "1.4 KiB",
        "20 × denied",
        "egress[1] 'docs.example.com' (line 7) allows GET, HEAD, not POST",
        'destination = "evil.example"',
        "The verifier found nothing wrong.",
        "raw socket denied:EPERM",
        "sibling steps: they run outside",
        "TCP connections to the outside",
        "agent.sh and 2 arguments",
        "python 3.11.2, trio_egress 0.1.0",
        "HOME, PATH",
        "unexplained 0",
        dossier.report.policy_hash,
        dossier.report.signer_key,
        dossier.report.head,
        f"trio-egress verify . --public-key KEY.pub \\ --expect-run run-1 \\ --expect-head {dossier.report.head}",
        "that nothing happened beside the boundary",
    ):
        assert said in text, said
    links = {a.get("href") for a in tree.iterfind(".//h:a", SPACES)}
    assert "#L7" in links
    ids = {element.get("id") for element in tree.iter()}
    assert all(link and link[1:] in ids for link in links)


def test_messages_over_standard_streams_have_a_table_of_their_own() -> None:
    tree, text = read(make_dossier(write_messages()))
    assert heading(tree) == "The agent reached nothing; 1 attempt was denied. 3 messages went by."
    for said in (
        "Nothing was contacted.",
        "What an MCP server and its client said to each other over standard streams",
        "mcp:tools/call:look",
        "[mcp] (line 3) names no rm in tools",
        "what the client may ask is in `methods` and `tools`",
    ):
        assert said in text, said
    assert "no byte left" not in text


def test_a_page_of_a_verifier_does_not_call_itself_the_runs() -> None:
    _, text = read(make_dossier(write_usual(), claimed=False))
    assert "the run’s own word" not in text
    assert "verdict of trio-egress verify" in text


@pytest.mark.parametrize(
    ("lines", "files", "said"),
    [
        (begin().close().lines, {}, "The agent sent nothing out and was denied nothing."),
        (Scribe().open().close("refused", books=False).lines, {"posture.json": b""}, "The agent never ran."),
        (begin().allow().close().lines, {}, "The agent reached 1 host and was denied nothing."),
        (begin().block().close().lines, {}, "The agent reached nothing; 1 attempt was denied."),
        (Scribe().open().lines, {}, "The record ends before anything was reached or denied."),
        ([], {"posture.json": b"x", "packet.json": b"["}, "The agent never ran."),
    ],
)
def test_a_run_without_this_or_that_says_so(lines: list[bytes], files: dict[str, bytes], said: str) -> None:
    tree, text = read(make_dossier(lines, files=files))
    assert heading(tree) == said
    for empty, words in (("allowed", "Nothing was contacted"), ("denied", "Nothing was denied")):
        assert (words in text) is not bool(getattr(make_dossier(lines).story, empty))


def test_a_log_that_was_recovered_says_so_and_not_how_the_agent_ended() -> None:
    dossier = make_dossier(begin().block().lines)
    assert "how it ended is not recorded" in read(dossier)[1]
    report = attrs.evolve(dossier.report, recovered_by="ab" * 32)
    assert "No proven end, recovered" in read(attrs.evolve(dossier, report=report))[1][:400]


def test_each_weak_verdict_is_in_the_first_words() -> None:
    whole = write_usual()
    told = {
        "No proven end": make_dossier(whole[:-1]),
        "Self-consistent": make_dossier(whole, pinned=False),
        "Observed only": make_dossier(begin().allow("x.example", layer="observe").close().lines),
        "Invalid": make_dossier(rewrite(whole, {3: setting("verdict", "banana")})),
    }
    for word, dossier in told.items():
        tree, text = read(dossier)
        assert word in text[:400]
        title = tree.find(".//h:title", SPACES)
        assert title is not None
        assert str(title.text).startswith(word)


def test_what_was_only_observed_is_loud() -> None:
    tree, text = read(make_dossier(begin().allow("x.example", layer="observe").close().lines))
    assert heading(tree).startswith("Nothing was enforced: the agent reached 1 host")
    assert "OBSERVED, NOT ENFORCED" in text
    assert "1 × let through" in text
    assert "OBSERVED" not in read(make_dossier(write_usual()))[1]


def test_an_invalid_record_is_not_told_as_if_it_were_true() -> None:
    tree, text = read(make_dossier(rewrite(write_usual(), {1: setting_fact("bytes_up", -1)})))
    assert "can’t be relied on" in heading(tree)
    assert "Nothing on this page is proven" in text
    assert "ext.fact" in text


def test_books_that_do_not_balance_say_by_how_much() -> None:
    _, text = read(
        make_dossier(rewrite(write_usual(), {-1 % len(write_usual()): setting_fact("counters", {})}))
    )
    assert "balance.missing" in text


def test_a_change_of_the_policy_is_told() -> None:
    scribe = begin().change_policy(connections_ended=2)
    _, text = read(make_dossier(scribe.close().lines))
    assert "another policy came into force" in text
    assert "2 open connections ended" in text


def test_another_key_is_told() -> None:
    _, text = read(make_dossier(begin().rotate(STRANGER).close().lines))
    assert f"on{STRANGER.public_hex}" in text.replace(" ", "")
    assert "Valid" in text


def test_a_secret_in_attempts_is_told_and_its_value_is_not() -> None:
    dossier = make_dossier(write_secrets())
    _, text = read(dossier)
    assert text.index("What the policy calls secret") < text.index("first receipt to the last")
    assert "stood in 2 attempts, 1 of them let through: [api-token:" in text
    assert "no rule can be worked out" in text
    assert "hunter2" not in text
    summary = render_summary(dossier).decode()
    assert "**Secret** `api-token` `stood in 2 attempts, 1 of them let through" in summary
    assert "What the policy calls secret" not in read(make_dossier(write_usual()))[1]


def test_a_secret_that_was_used_is_told_and_one_that_was_asked_for_by_another_comes_first() -> None:
    dossier = make_dossier(write_used_secrets())
    _, text = read(dossier)
    refused, used = (
        "was asked for and refused in 1 attempt: evil.example",
        "was put into 2 requests: api.example.com",
    )
    assert text.index(refused) < text.index(used) < text.index("first receipt to the last")
    assert "A secret was asked for where the policy doesn't send it" in text
    summary = render_summary(dossier).decode()
    assert f"**Secret** `api-token` `{refused}`" in summary
    assert f"**Secret** `api-token` `{used}`" in summary


def test_the_page_lets_itself_load_nothing_but_its_own_style() -> None:
    page = render_report(make_dossier(write_usual())).decode()
    assert CONTENT_POLICY.startswith("default-src 'none'; style-src 'sha256-")
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in CONTENT_POLICY
    meta = page.index("Content-Security-Policy")
    assert meta < page.index("<style>")
    assert "style=" not in page
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("name", ["hostile", "policy"])
def test_what_others_chose_is_text(name: str) -> None:
    if name == "policy":
        dossier = make_dossier(
            write_usual(), policy=f"# {HOSTILE}\n{POLICY}", files={"posture.json": b'"' * 9}
        )
    else:
        dossier = make_dossier(write_hostile())
    page = render_report(dossier)
    tree = parse(page)
    names = {str(element.tag).rpartition("}")[2] for element in tree.iter()}
    assert not names & {"script", "img", "iframe", "object", "embed", "link", "form", "base", "input"}
    assert all(not key.startswith("on") for element in tree.iter() for key in element.attrib)
    assert {str(a.get("href"))[:1] for a in tree.iterfind(".//h:a", SPACES)} == {"#"}
    assert page.count(b"<style>") == page.count(b"</style>") == 1
    shown = page.decode()
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert "&lt;script&gt;" in shown


def test_a_command_is_made_of_nothing_that_others_chose() -> None:
    scribe = Scribe(attrs.evolve(begin().session, run_id="$(reboot);x"))
    page = render_report(make_dossier(scribe.open().close().lines)).decode()
    (command,) = re.findall(r'<pre class="command">(.*?)</pre>', page, re.DOTALL)
    assert "reboot" not in command
    assert "--expect-run" not in command
    assert "--expect-head" in command


def test_thousands_of_hosts_fit_and_are_counted() -> None:
    dossier = make_dossier(write_huge(2000))
    page = render_report(dossier)
    assert len(page) < PAGE_BYTES // 2
    tree, text = read(dossier)
    assert heading(tree) == "The agent reached 1,000 hosts; 1,000 attempts were denied."
    assert "… and 900 more hosts: 900 allowed" in text
    assert "… and 960 more kinds of attempts, 960 times" in text
    assert "… and 1,988 more hosts, in the first row alone" in text


@pytest.mark.parametrize("character", ["&", "\U000e0041"])
def test_the_longest_page_is_short_enough(character: str) -> None:
    """Everything at its bound, and each character the longest when escaped."""
    text = character * 3000
    scribe = begin()
    for number in range(300):
        facts = {
            "host": f"{number}{text}",
            "port": number,
            "proto": text,
            "reason": f"{number}{text}",
            "rule": text,
        }
        scribe.block(target=f"{number}{text}", facts=facts).allow(target=text, facts=facts)
        scribe.change_policy(reason=text)
    policy = f"{POLICY}{('#' + text + chr(10)) * 600}"
    everything = {f"{n}{text}": text for n in range(500)}
    posture = {"probes": everything, "kernel": text, "versions": everything, "environment": list(everything)}
    posture["command"] = {"program": text, "sha256": text}
    assert len(
        render_report(make_dossier(scribe.lines, policy=policy, files=dict.fromkeys(NAMED, _dump(posture))))
    ) < (PAGE_BYTES)


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()


USUAL = look_up(deny_method(begin()), "x.example").lines
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
NAMED = ("posture.json", "run.json")
DETAILS = ("probes", "kernel", "command", "versions", "environment")
POSTURES = VALUES | st.fixed_dictionaries({}, optional=dict.fromkeys(DETAILS, VALUES))
PACKET = st.fixed_dictionaries(
    {},
    optional={
        "run": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("agent_exit_code", "repository", "sha"), VALUES)
        ),
        "posture": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("agent_uid", "agent_user", "host_uid", "unsupported_paths"), VALUES)
        ),
        "policy": VALUES,
    },
)


@settings(max_examples=40, deadline=None)
@given(PACKET, POSTURES, st.text(max_size=80))
def test_no_file_of_a_packet_raises(packet: object, posture: object, policy: str) -> None:
    files = {"packet.json": _dump(packet), "posture.json": _dump(posture), "run.json": _dump(posture)}
    page = render_report(make_dossier(USUAL, files=files, policy=policy))
    parse(page)


MEMBERS = (
    "redaction",
    "target",
    "verdict",
    "transport",
    "decision_phase",
    "layer",
    "timestamp",
    "method",
    "policy_hash",
    "actor",
)
TOLD = (
    "host",
    "port",
    "proto",
    "reason",
    "rule",
    "count",
    "bytes_up",
    "judged_us",
    "query",
    "rotation",
    "counters",
)
WORDS = st.sampled_from(
    ["block", "allow", "intent", "outcome", "dns", "http", "tls", "key", "policy", "observe", "\ud800"]
)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, len(write_usual()) - 1),
    st.fixed_dictionaries({}, optional=dict.fromkeys(MEMBERS, VALUES | WORDS)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(TOLD, VALUES | WORDS)),
)
def test_no_receipt_raises_and_its_page_is_whole(
    at: int, record: dict[str, object], facts: dict[str, object]
) -> None:
    lines = write_usual()
    receipt = json.loads(lines[at])
    receipt["action_record"] |= record
    receipt["ext"]["trio_egress"] |= facts
    lines[at] = _dump(receipt) + b"\n"
    dossier = make_dossier(lines, claimed=False)
    parse(render_report(dossier))
    assert render_summary(dossier).decode().startswith("# trio-egress: ")


def test_a_denial_under_another_policy_is_judged_by_that_one() -> None:
    """And the line that it names is not one of the policy that is on the page."""
    other = load_policy(POLICY.replace("HEAD", "PUT"), "policy.toml")
    scribe = deny_method(begin().change_policy(policy_hash(other)))
    dossier = make_dossier(scribe.close().lines)
    dossier = attrs.evolve(dossier, policies={**dossier.policies, policy_hash(other): other})
    tree, text = read(dossier)
    assert 'methods = ["POST"]' in text
    assert "#L7" not in {a.get("href") for a in tree.iterfind(".//h:a", SPACES)}
    assert "This would allow it" not in read(attrs.evolve(dossier, policies={}))[1]
