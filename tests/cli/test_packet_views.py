"""`trio-egress packet ls`, `show` and `diff`, as a person meets them; what they say has tests of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import attrs
import pytest
from tests.cli.inside import Called, call
from tests.evidence.found import write_found
from tests.evidence.specimens import KEY, OTHER_HASH, SESSION, STRANGER, Scribe
from tests.evidence.test_packet import FACTS, make_packet
from tests.views.pictures import POLICY, RULED, write_lines, write_packet

from trio_egress.cli.packet.views import SUBJECTS
from trio_egress.evidence.sign import generate
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.load import load_policy
from trio_egress.views.compare import Subject


def run(*arguments: object, cwd: Path) -> Called:
    return call("packet", *arguments, cwd=cwd)


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """Two runs; the names are not in the order of their times."""
    for name, later_ns in (("z", 0), ("a", 10**9)):
        (tmp_path / name).mkdir()
        scribe = Scribe(attrs.evolve(SESSION, run_id=name))
        scribe.now_ns += later_ns
        scribe.open().allow().block(f"{name}.evil.example")
        make_packet(tmp_path / name, scribe.close().lines)
    return tmp_path


def test_where_no_packet_stands_those_that_runs_have_left_are_listed(audit: Path, tmp_path: Path) -> None:
    (below := tmp_path / "trio-egress-audit").mkdir()
    (tmp_path / "a").rename(below / "a")
    assert " z" not in run("ls", cwd=below).stdout
    assert run("ls", cwd=tmp_path).stdout.splitlines()[1].startswith("z ")
    (tmp_path / "z").rename(below / "z")
    assert [line.split()[0] for line in run("ls", cwd=tmp_path).stdout.splitlines()[1:]] == [
        "trio-egress-audit/z",
        "trio-egress-audit/a",
    ]


def test_a_number_longer_than_any_is_no_receipts(audit: Path) -> None:
    assert run("show", "z", "9" * 5000, cwd=audit).returncode == 1


def test_runs_are_listed_by_their_times_and_nothing_is_said_to_be_verified(audit: Path) -> None:
    ran = run("ls", cwd=audit)
    assert ran.returncode == 0
    assert ran.stdout.splitlines() == [
        "PACKET  STARTED               EXIT  ALLOWED  DENIED  SAYS",
        "z       2027-01-15T08:00:00Z     0        1       1  valid",
        "a       2027-01-15T08:00:01Z     0        1       1  valid",
    ]
    assert "nothing was verified" in ran.stderr


def test_with_verify_the_verdicts_are_told_and_count(audit: Path) -> None:
    (audit / "a" / "evidence.jsonl").write_bytes(b"{}\n")
    ran = run("ls", audit, "--verify", "--public-key", KEY.public_hex, "--json", cwd=audit)
    told = {Path(entry["path"]).name: (entry["verdict"], entry["says"]) for entry in json.loads(ran.stdout)}
    assert told == {"z": ("valid", "valid"), "a": ("invalid", "valid")}
    assert ran.returncode == 1
    ran = run("ls", "z", "--verify", "--public-key", KEY.public_hex, cwd=audit)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0].endswith("VERDICT")
    assert run("ls", "z", "--verify", "--public-key", "", cwd=audit).returncode == 64


def test_no_packet_and_one_that_cannot_be_read_have_codes_of_their_own(audit: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("ls", tmp_path / "empty", cwd=audit).returncode == 1
    assert run("ls", tmp_path / "nowhere", cwd=audit).returncode == 2
    (audit / "z" / "evidence.jsonl").unlink()
    (audit / "z" / "evidence.jsonl").mkdir()
    ran = run("ls", cwd=audit)
    assert ran.returncode == 2
    assert ran.stdout.splitlines()[1].startswith("a ")
    assert "not a plain file" in ran.stderr


def test_a_name_cannot_steer_the_terminal(audit: Path) -> None:
    for kind in ("readable", "unreadable"):
        (audit / f"\x1b[31m{kind}\udc80").mkdir()
        (audit / f"\x1b[31m{kind}\udc80" / "evidence.jsonl").touch()
    (audit / "\x1b[31munreadable\udc80" / "evidence.jsonl").unlink()
    (audit / "\x1b[31munreadable\udc80" / "evidence.jsonl").symlink_to("nowhere")
    for arguments in (["ls"], ["ls", "--json"], ["show", "\x1b[31m"], ["diff", "\x1b[31m", "z"]):
        command = [sys.executable, "-m", "trio_egress", "packet", *arguments]
        said = subprocess.run(command, cwd=audit, capture_output=True, text=True, timeout=120, check=False)
        assert "\x1b" not in said.stdout + said.stderr
        assert "\\x1b[31m" in said.stderr
    assert "\\x1b[31mreadable\\udc80" in run("ls", cwd=audit).stdout
    ran = run("export", "\x1b[31mreadable\udc80", "--format", "sarif", cwd=audit)
    assert "%5Cx1b" in ran.stdout


def test_attempts_are_shown_and_selected(audit: Path) -> None:
    ran = run("show", "z", cwd=audit)
    assert ran.returncode == 0
    assert [line.split()[2] for line in ran.stdout.splitlines()] == ["allowed", "denied"]
    assert "not verified" in ran.stderr
    ran = run("show", "z", "--denied", "--json", cwd=audit)
    (told,) = map(json.loads, ran.stdout.splitlines())
    assert (told["verdict"], told["host"], ran.stderr) == ("denied", "z.evil.example", "")
    assert len(run("show", "z", "--host", "Evil.example.", cwd=audit).stdout.splitlines()) == 1
    for host in ("vil.example", "nowhere.example"):
        ran = run("show", "z", "--host", host, cwd=audit)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"no attempt at {host} is recorded" in ran.stderr


def test_a_receipt_is_shown_by_its_number_and_an_action_with_both(audit: Path) -> None:
    ran = run("show", "z", 1, cwd=audit)
    assert ran.stdout.startswith("receipt 1, line 2\n")
    (action_id,) = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("  action_id ")]
    ran = run("show", "z", action_id, cwd=audit)
    assert [line for line in ran.stdout.splitlines() if line.startswith("receipt")] == [
        "receipt 1, line 2",
        "receipt 2, line 3",
    ]
    told = json.loads(run("show", "z", 0, "--json", cwd=audit).stdout)
    assert told["action_record"]["session_control"]["kind"] == "session_open"
    ran = run("show", "z", 99, cwd=audit)
    assert ran.returncode == 1
    assert "there is no receipt 99" in ran.stderr
    assert run("show", "nowhere", cwd=audit).returncode == 2


def test_a_number_names_one_receipt_whatever_key_signed_it(tmp_path: Path) -> None:
    scribe = (
        Scribe().open().allow().rotate(STRANGER).allow().block().rotate(generate(b"3" * 32)).block().close()
    )
    (tmp_path / "log").write_bytes(scribe.raw)
    listed = [line.split()[0] for line in run("show", "log", cwd=tmp_path).stdout.splitlines()]
    assert listed == ["1", "2:1", "2:3", "3:1"]
    for which, heading in [
        ("1", "receipt 1, line 2"),
        ("1:1", "receipt 1, line 2"),
        ("2:1", "receipt 2:1, line 5"),
        ("3:1", "receipt 3:1, line 9"),
        ("line:5", "receipt 2:1, line 5"),
    ]:
        shown = run("show", "log", which, cwd=tmp_path).stdout.splitlines()
        assert [line for line in shown if line.startswith("receipt")] == [heading]
    told = json.loads(run("show", "log", "2:1", "--json", cwd=tmp_path).stdout)
    assert (told["key"], told["line"], told["action_record"]["chain_seq"]) == (2, 5, 1)
    attempts = [json.loads(line) for line in run("show", "log", "--json", cwd=tmp_path).stdout.splitlines()]
    assert [(each["key"], each["seq"], each["outcome_key"]) for each in attempts] == [
        (1, 1, 1),
        (2, 1, 2),
        (2, 3, None),
        (3, 1, None),
    ]
    assert run("show", "log", "4:0", cwd=tmp_path).returncode == 1


def test_a_zip_is_read_as_the_packet_that_it_is(audit: Path) -> None:
    assert run("pack", "z", cwd=audit).returncode == 0
    rows = [line.split() for line in run("ls", cwd=audit).stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["z", "z.zip", "a"]
    assert rows[0][1:] == rows[1][1:]
    assert run("ls", "z.zip", cwd=audit).stdout.splitlines()[1].split() == rows[1]
    assert run("show", "z.zip", cwd=audit).stdout == run("show", "z", cwd=audit).stdout
    assert run("diff", "z", "z.zip", cwd=audit).returncode == 0
    pinned = ["--format", "junit", "--public-key", KEY.public_hex]
    assert run("export", "z.zip", *pinned, cwd=audit).stdout == run("export", "z", *pinned, cwd=audit).stdout


def test_a_denial_in_full_says_what_would_allow_it(tmp_path: Path) -> None:
    text = POLICY.decode()
    compiled = render_compiled(load_policy(text, "policy.toml"))
    digest = f"sha256:{sha256(compiled).hexdigest()}"
    scribe = Scribe(attrs.evolve(SESSION, policy_hash=digest, able=())).open().allow().block()
    call = {"call": "bpf", "detail": "", "errno": "EPERM", "reason": "refused"}
    refused = scribe.draft(
        verdict="block", transport="syscall", layer="kernel", target="syscall:bpf", facts=call
    )
    (tmp_path / "z").mkdir()
    make_packet(
        tmp_path / "z",
        scribe.append(refused).close().lines,
        attrs.evolve(FACTS, policy_text=text, policy_compiled=compiled),
    )

    def advice(seq: int) -> list[str]:
        shown = run("show", "z", seq, cwd=tmp_path).stdout.splitlines()
        return shown[shown.index("what would allow it") + 1 :] if "what would allow it" in shown else []

    assert advice(1) == advice(2) == []
    assert advice(3) == ["  [[egress]]", '  destination = "evil.example"']
    assert advice(4) == ["  No rule can allow this: the kernel refuses this system call to every agent."]
    (tmp_path / "z" / "policy.toml").write_text("no policy")
    assert advice(3) == []


def test_every_subject_of_a_difference_is_offered() -> None:
    assert set(SUBJECTS) == {subject.value for subject in Subject}


def test_another_environment_is_told_by_names(audit: Path) -> None:
    ran = json.loads((audit / "z" / "run.json").read_text())
    (audit / "a" / "run.json").write_text(json.dumps({**ran, "environment": ["PATH", "TOKEN"]}))
    shown = run("diff", "z", "a", "--ignore", "places", cwd=audit)
    assert shown.stdout.splitlines()[2:] == ["~ environment  -HOME +TOKEN"]


def test_every_kind_of_difference_has_its_words(audit: Path) -> None:
    scribe = Scribe(attrs.evolve(SESSION, run_id="c")).open().change_policy().allow(up=11).allow()
    lines = scribe.block("a.evil.example", method="PUT").close("timed_out", {"agent_exit_code": 3}).lines
    (audit / "c").mkdir()
    (audit / "c" / "evidence.jsonl").write_bytes(b"".join(lines))
    policy, place = str(SESSION.policy_hash)[:19], "tls://a.evil.example:443"
    assert run("diff", "a", "c", "--ignore", "posture", cwd=audit).stdout.splitlines()[2:] == [
        "~ end: agent_exit_code  nothing -> 3",
        "~ end: closed_by  exited -> timed_out",
        f"~ policy  {policy} -> {policy}, {OTHER_HASH[:19]}",
        "~ command: run.json  a file -> nothing",
        f"~ {place}  no longer denied: {place}; denied now: PUT {place}",
        "~ tls://api.example.com:443  allowed 1 -> 2",
        "~ tls://api.example.com:443  bytes up 10 -> 21, down 20 -> 40",
    ]


def test_a_difference_is_1_and_none_is_0(audit: Path) -> None:
    ran = run("diff", "z", "a", cwd=audit)
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == [
        "old  z  2027-01-15T08:00:00Z",
        "new  a  2027-01-15T08:00:01Z",
        "+ tls://a.evil.example:443  denied 1",
        "- tls://z.evil.example:443  denied 1",
    ]
    ran = run("diff", "z", "a", "--ignore", "places", cwd=audit)
    assert ran.returncode == 0
    assert ran.stdout.endswith("no difference\n")
    changes = json.loads(run("diff", "z", "a", "--json", cwd=audit).stdout)["changes"]
    assert [change["subject"] for change in changes] == ["places", "places"]
    assert run("diff", "z", "nowhere", cwd=audit).returncode == 2
    assert run("diff", "z", "a", "--ignore", "everything", cwd=audit).returncode == 64


def test_what_a_scan_found_is_shown_by_itself_and_beside_another_run(tmp_path: Path) -> None:
    """As a person meets it; the views have tests of their own."""
    write_packet(tmp_path / "found", write_found(RULED))
    write_packet(tmp_path / "usual", write_lines())
    shown = run("show", "found", "--found", cwd=tmp_path)
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, 5)
    assert "found tags in answer body" not in shown.stdout
    assert "tags in answer body, let through" in shown.stdout
    none = run("show", "usual", "--found", cwd=tmp_path)
    assert (none.returncode, none.stderr) == (
        1,
        "trio-egress packet show: no attempt with a find of a scan is recorded\n",
    )
    compared = run("diff", "usual", "found", "--ignore", "places", cwd=tmp_path)
    assert (
        "~ https://docs.example.com:443  found now: forget-instructions in answer body, stripped; "
        "found now: tags in answer body, let through\n"
    ) in compared.stdout
    denied = run("show", "found", "1", cwd=tmp_path)
    assert "  pattern                 acme-token" in denied.stdout
    assert "it was stopped for what was found in it" in denied.stdout


def test_what_is_learnt_from_a_run_with_finds_opens_nothing_that_was_stopped(tmp_path: Path) -> None:
    packet = write_packet(tmp_path / "found", write_found(RULED))
    learnt = call("learn", "--from", packet, cwd=tmp_path)
    assert (learnt.returncode, learnt.stderr) == (0, "")
    policy = load_policy(learnt.stdout, "learnt.toml")
    assert [str(rule.terms.destination) for rule in policy.rules] == ["api.example.com", "docs.example.com"]
    assert "# - api.example.com: acme-token in header x-api-key (base64) (once)" in learnt.stdout
    assert "# - docs.example.com: forget-instructions in answer body (2 times)" in learnt.stdout
    assert "Denied while it was seen" not in learnt.stdout
