"""`trio-egress policy`, as a person meets it: what is printed where, and which status says what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from trio_egress.cli.policy.parser import TOOLS as OFFERED
from trio_egress.policy.foreign import TOOLS
from trio_egress.policy.load import load_policy

POLICY = """version = "1.0"
default_deny = true

[[egress]]
destination = "api.example.com"
methods = ["GET"]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "trio-egress.toml").write_text(POLICY)
    return tmp_path


def run(place: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TRIO_EGRESS_POLICY"}
    command = [sys.executable, "-m", "trio_egress", "policy", *arguments]
    return subprocess.run(
        command,
        cwd=place,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_says_what_the_policy_is(place: Path) -> None:
    ran = run(place, "check")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("trio-egress.toml: ok, 1 rule, sha256:")


def test_check_knows_detectors_by_their_names_and_reads_those_of_the_policy(place: Path) -> None:
    (place / "ours.toml").write_text('[[rules]]\nid = "acme-token"\nregex = "acme-[0-9]{8}"\n')
    table = '[scan]\ndetector_files = ["ours.toml"]\n'
    for name, code in (("acme-token", 0), ("acme-tokn", 1)):
        named = f'scan = {{ detectors = {{ "{name}" = "warn" }} }}\n'
        (place / "trio-egress.toml").write_text(f"{POLICY}{named}{table}")
        ran = run(place, "check")
        assert (ran.returncode, "ok, 1 rule" in ran.stdout) == (code, not code)
    assert 'no detector is called "acme-tokn"; did you mean "acme-token"?' in ran.stderr
    (place / "ours.toml").write_text("[[rules]]\nid = 1\n")
    assert "ours.toml:1:1: error:" in run(place, "check").stderr


def test_check_warns_of_a_suppression_that_has_ended(place: Path) -> None:
    known = f'finding = "sha256:{"0" * 64}"\ndetector = "jwt"\nreason = "an example"\nexpires = 2026-01-31\n'
    (place / "trio-egress.toml").write_text(f"{POLICY}scan = true\n[[scan.suppress]]\n{known}")
    assert "has no effect any more" in run(place, "check").stderr
    assert [run(place, "check", *strict).returncode for strict in ((), ("--strict",))] == [0, 1]


def test_explain_says_what_is_looked_through(place: Path) -> None:
    (place / "trio-egress.toml").write_text(f'{POLICY}scan = {{ entropy = "off" }}\n')
    ran = run(place, "explain", "GET", "http://api.example.com/")
    assert "  scanned: requests and answers: entropy off, else as the detectors have it\n" in ran.stdout
    told = json.loads(run(place, "explain", "--json", "http://api.example.com/").stdout)
    assert told["steps"][0]["scanned"].startswith("requests and answers: entropy off")


def test_check_tells_every_problem_of_every_file(place: Path) -> None:
    (place / "bad.toml").write_text('version = "2"\ndefault_deny = true\nsurprise = 1\n')
    ran = run(place, "check", "bad.toml", "trio-egress.toml")
    assert ran.returncode == 1
    assert "bad.toml:1:11: error: version" in ran.stderr
    assert "bad.toml:3:1: error: unknown key" in ran.stderr
    assert "trio-egress.toml: ok" in ran.stdout
    told = json.loads(run(place, "check", "bad.toml", "--json").stdout)
    assert [(problem["line"], problem["column"]) for problem in told[0]["errors"]] == [(1, 11), (3, 1)]
    assert told[0]["ok"] is False


def test_check_of_what_is_not_there(place: Path) -> None:
    ran = run(place, "check", "nowhere.toml")
    assert ran.returncode == 2
    assert "nowhere.toml does not exist" in ran.stderr


def test_show_prints_meaning_and_hash(place: Path) -> None:
    shown = run(place, "show")
    assert shown.returncode == 0
    assert "allow egress[0] 'api.example.com' (line 4): methods [\"GET\"]" in shown.stdout
    compiled = run(place, "show", "--json").stdout
    assert json.loads(compiled)["egress"] == [{"destination": "api.example.com", "methods": ["GET"]}]


def test_show_prints_each_file_that_belongs_to_the_policy_with_its_hash(place: Path) -> None:
    (place / "b.yaml").write_text('version: "1.0"\ndefault_deny: true\negress: [{destination: b.example}]\n')
    (place / "trio-egress.toml").write_text(
        POLICY.replace("\n\n", '\ninclude = ["b.yaml", "preset:github"]\n\n', 1)
    )
    shown = run(place, "show").stdout
    assert "allow egress[1] 'b.example' (b.yaml line 3)" in shown
    assert "allow egress[2] 'github.com' (preset:github line 10)" in shown
    for name in ("trio-egress.toml", "b.yaml"):
        assert f"file {name}: sha256 {sha256((place / name).read_bytes()).hexdigest()}\n" in shown
    assert "file preset:github: sha256 " in shown


def test_schema_prints_one_by_which_the_policy_can_be_checked(place: Path) -> None:
    shown = run(place, "schema")
    assert (shown.returncode, shown.stderr) == (0, "")
    schema = json.loads(shown.stdout)
    assert schema["properties"]["egress"]["items"] == {"$ref": "#/$defs/rule"}
    assert schema["$defs"]["rule"]["properties"]["methods"]["description"].startswith("the HTTP methods")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("http://api.example.com/x",), 0, "allowed: GET /x to api.example.com, port 80"),
        (("POST", "http://api.example.com"), 1, "allows GET, not POST"),
        (("api.exmaple.com",), 1, "did you mean api.example.com?"),
        (("nothing here",), 64, ""),
        (("http://api.example.com", "--policy", "nowhere.toml"), 2, ""),
    ],
)
def test_explain(place: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    ran = run(place, "explain", *arguments)
    assert ran.returncode == code, ran.stderr
    assert words in ran.stdout
    assert bool(ran.stderr) == (code > 1)


def test_explain_suggests_a_rule_that_can_be_appended(place: Path) -> None:
    ran = run(place, "explain", "--suggest", "POST http://api.example.com/v1")
    rule = ran.stdout[ran.stdout.index("[[egress]]") :]
    (place / "trio-egress.toml").write_text(f"{POLICY}\n{rule}")
    assert run(place, "explain", "POST http://api.example.com/v1").returncode == 0
    told = json.loads(run(place, "explain", "--suggest", "--json", "other.example:22").stdout)
    assert told["allowed"] is False
    assert told["suggestion"] == '[[egress]]\ndestination = "other.example:22"'


def test_diff_says_what_opens(place: Path) -> None:
    (place / "new.toml").write_text(POLICY.replace('["GET"]', '["GET", "POST"]'))
    ran = run(place, "diff", "trio-egress.toml", "new.toml")
    assert ran.returncode == 1
    assert ran.stdout == "+ opens   api.example.com: methods GET → GET, POST\n"
    same = run(place, "diff", "new.toml", "new.toml")
    assert (same.returncode, same.stdout) == (0, "no difference: both mean the same\n")
    told = json.loads(run(place, "diff", "--json", "new.toml", "trio-egress.toml").stdout)
    assert [change["effect"] for change in told] == ["closes"]
    assert run(place, "diff", "new.toml", "nowhere.toml").returncode == 2


def test_fmt_lays_out_in_place_and_check_changes_nothing(place: Path) -> None:
    policy = place / "trio-egress.toml"
    untidy = POLICY.replace(" = ", "=")
    policy.write_text(untidy)
    policy.chmod(0o640)
    assert run(place, "fmt", "--check").returncode == 1
    assert policy.read_text() == untidy
    assert run(place, "fmt").returncode == 0
    assert policy.read_text() == POLICY
    assert policy.stat().st_mode & 0o777 == 0o640
    assert run(place, "fmt", "--check").returncode == 0
    assert sorted(path.name for path in place.iterdir()) == ["trio-egress.toml"]


def test_fmt_tells_programs_what_came_of_each_file(place: Path) -> None:
    (place / "untidy.toml").write_text(POLICY.replace(" = ", "="))
    ran = run(place, "fmt", "--json", "trio-egress.toml", "untidy.toml")
    states = [(answer["file"], answer["state"]) for answer in json.loads(ran.stdout)]
    assert states == [("trio-egress.toml", "unchanged"), ("untidy.toml", "laid_out")]
    assert run(place, "fmt", "--json", "nowhere.toml").returncode == 2


def test_fmt_lays_yaml_out_too(place: Path) -> None:
    policy = place / "agent.yaml"
    policy.write_text('version:  "1.0"\ndefault_deny: true #x\n')
    assert run(place, "fmt", "--check", "agent.yaml").returncode == 1
    assert run(place, "fmt", "agent.yaml").returncode == 0
    assert policy.read_text() == 'version: "1.0"\ndefault_deny: true  # x\n'


def test_fmt_leaves_what_is_no_policy(place: Path) -> None:
    policy = place / "trio-egress.toml"
    policy.write_text("surprise=1\n")
    ran = run(place, "fmt")
    assert ran.returncode == 1
    assert "unknown key" in ran.stderr
    assert policy.read_text() == "surprise=1\n"


def test_import_writes_a_policy_and_says_what_is_missing(place: Path) -> None:
    squid = "acl good dstdomain .example.com\nhttp_access allow good\nhttp_access allow nobody\n"
    ran = run(place, "import", "--from", "squid", "-", stdin=squid)
    assert ran.returncode == 0, ran.stderr
    assert len(load_policy(ran.stdout, "x.toml").rules) == 2
    assert "nobody" in ran.stderr
    assert run(place, "import", "--from", "squid", "-", "-o", "new.toml", stdin=squid).returncode == 0
    again = run(place, "import", "--from", "squid", "-", "-o", "new.toml", stdin=squid)
    assert again.returncode == 2
    assert "new.toml exists already" in again.stderr
    assert run(place, "import", "--from", "srt", "trio-egress.toml").returncode == 1
    told = json.loads(run(place, "import", "--from", "squid", "-", "--json", stdin=squid).stdout)
    assert told["rules"] == 2
    assert told["notes"]


def test_test_decides_what_the_policy_expects(place: Path) -> None:
    none = run(place, "test")
    assert none.returncode == 2
    assert "has no [[test]]" in none.stderr
    (place / "trio-egress.tests.toml").write_text(
        '[[test]]\nattempt = "http://api.example.com"\nexpect = "allow"\n'
        '[[test]]\nattempt = "other.example"\nexpect = "deny"\n'
    )
    ran = run(place, "test")
    assert (ran.returncode, ran.stdout) == (0, "2 of 2 as expected\n")
    with (place / "trio-egress.toml").open("a") as file:
        file.write('[[test]]\nattempt = "other.example"\nexpect = "allow"\n')
    ran = run(place, "test")
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == [
        "trio-egress.toml:7:1: other.example: expected allow, but denied: no rule allows other.example:443",
        "2 of 3 as expected",
    ]
    told = json.loads(run(place, "test", "--json").stdout)
    assert (told["passed"], told["failed"]) == (2, 1)


def test_help_has_every_action_and_the_exit_codes(place: Path) -> None:
    ran = run(place, "--help")
    assert ran.returncode == 0
    for action in ("check", "show", "diff", "test", "explain", "fmt", "import"):
        assert action in ran.stdout
        shown = run(place, action, "--help")
        assert "exit codes:" in shown.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 100


def test_every_tool_can_be_named() -> None:
    assert OFFERED == TOOLS


def test_an_unknown_action_is_a_usage_error(place: Path) -> None:
    ran = run(place, "chekc")
    assert ran.returncode == 64
    assert "Traceback" not in ran.stderr
