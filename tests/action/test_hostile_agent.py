"""An agent that speaks to the runner and not to its reader: what it forges in output, files and names is not obeyed."""

from __future__ import annotations

import json

import pytest
from tests.action.runner import Runner
from tests.action.steps import HEAD, use
from tests.runs.launch import PROXY

pytestmark = pytest.mark.sandbox

FORGED = r"""
echo "::add-mask::denied"
echo "::error file=x,line=1::forged"
echo "   ::warning::forged"
echo "said ##[error]forged" >&2
echo "##[add-mask]denied"
echo "::stop-commands::mine"; echo "::mine::"; echo "::error::forged"
for guess in 0 token pause-logging endstop trio-egress "$RUNNER_TEMP" ""; do echo "::$guess::"; done
echo "::error::forged"
printf '\r::error::forged\r\n::error::forged\n'
echo "::add-matcher::$PWD/matcher.json"
echo "forged.txt:1:1: error: forged"
"""
MATCHER = {
    "problemMatcher": [
        {
            "owner": "agent",
            "pattern": [
                {
                    "regexp": "^(.*):(\\d+):(\\d+): (error): (.*)$",
                    "file": 1,
                    "line": 2,
                    "column": 3,
                    "severity": 4,
                    "message": 5,
                }
            ],
        }
    ]
}


def count_forged(runner: Runner) -> int:
    return sum("forged" in a.message for ended in runner.ended for a in ended.log.annotations)


def test_no_command_that_it_prints_is_obeyed_and_ours_are_again_after_it(runner: Runner) -> None:
    (runner.workspace / "matcher.json").write_text(json.dumps(MATCHER))
    # It leaves a line unfinished, in which our own command would be lost.
    ended = use(runner, run=f"{FORGED}\nprintf 'no end of line'; exit 9", fail_on="deny")
    assert ended.code == 9
    assert set(ended.log.commands) == {"stop-commands", "notice"}
    assert (count_forged(runner), runner.masks) == (0, [])
    assert "no end of line" in ended.log.text
    assert [a.kind for a in ended.log.annotations] == ["notice"]


def test_without_the_action_each_would_be_obeyed(runner: Runner) -> None:
    (runner.workspace / "matcher.json").write_text(json.dumps(MATCHER))
    runner.run_job({"steps": [{"run": FORGED}]})
    assert count_forged(runner) >= 5
    assert "denied" in runner.masks


POISON = r"""
set +e
folder=$RUNNER_TEMP/_runner_file_commands
for name in GITHUB_ENV GITHUB_PATH GITHUB_OUTPUT GITHUB_STATE GITHUB_STEP_SUMMARY; do
    if [ -n "${!name:-}" ]; then echo "POISON=1" >>"${!name}"; echo /poison >>"${!name}"; fi
done
mkdir -p "$folder"
for file in "$folder"/*; do echo "POISON=1" >>"$file"; done
for file in $(find "$HOME" -name '*set_env_*' -o -name '*add_path_*' -o -name '*save_state_*'); do
    cat "$file"; echo "POISON=1" >>"$file"
done
echo 'echo POISON=1' >>~/.bashrc; echo 'echo POISON=1' >>~/.profile
ls "$folder"; true
"""
LATER = {"run": 'echo "later: ${POISON:-clean} $PATH $(env | grep -c "^POISON" || true)"', "name": "later"}
STATEFUL = {
    "action.yml": "name: stateful\nruns:\n  using: node20\n  main: main.js\n  post: post.js\n",
    "main.js": 'require("fs").appendFileSync(process.env.GITHUB_STATE, "token=kept\\n")',
    "post.js": 'console.log("post: " + process.env.STATE_token + " " + process.env.STATE_POISON)',
}


def write_stateful(runner: Runner) -> None:
    folder = runner.home / "stateful"
    folder.mkdir()
    for name, text in STATEFUL.items():
        (folder / name).write_text(text)
    runner.actions = {**runner.actions, "octo/stateful": folder}


@pytest.mark.programs
def test_no_later_step_or_post_step_hears_of_it(runner: Runner) -> None:
    write_stateful(runner)
    (runner.workspace / "trio-egress.toml").write_text(HEAD)
    steps = [{"uses": "octo/stateful@v1"}, {"uses": "./", "with": {"run": POISON}}, LATER]
    ended = {step.name: step for step in runner.run_job({"steps": steps})}
    assert ended["./"].code == 0
    assert "save_state" not in ended["./"].log.text
    assert "later: clean" in ended["later"].log.text
    assert "/poison" not in ended["later"].log.text
    assert "post: kept undefined" in ended["post stateful"].log.text
    assert "POISON" not in runner.environment
    assert not (runner.home / ".bashrc").exists()


def test_without_the_action_the_later_step_is_poisoned(runner: Runner) -> None:
    poison = 'echo "POISON=1" >>"$GITHUB_ENV"; echo /poison >>"$GITHUB_PATH"'
    _, later = runner.run_job({"steps": [{"run": poison}, LATER]})
    assert "later: 1 /poison" in later.log.text


def test_a_flood_of_output_and_of_denials_leaves_summary_and_annotations_bounded(runner: Runner) -> None:
    script = r"""
    head -c 20000000 /dev/zero | tr '\0' 'x'
    yes '::error::forged' | head -n 100000 || true
    python3 - <<'END' || true
import http.client
connection = None
for number in range(300):
    try:
        connection = connection or http.client.HTTPConnection("127.0.0.1", 8888, timeout=60)
        connection.request("GET", f"http://x{number}.evil.example/::error::forged%0A/" + "y" * 1500)
        connection.getresponse().read()
    except (http.client.HTTPException, OSError):
        connection = None
END
    """
    ended = use(runner, run=script)
    assert ended.code == 0
    assert int(ended.outputs["denied-count"]) >= 300
    assert (ended.log.count("warning"), ended.log.count("error")) == (10, 0)
    assert 0 < len(ended.summary) < 60_000
    assert count_forged(runner) == 9  # in our own, which tell of a name with that in it
    assert all(a.title.startswith("trio-egress") for a in ended.log.annotations)


def test_names_that_it_makes_do_not_write_outputs_or_summary(runner: Runner) -> None:
    evil = "http://evil.example/%0Averifier-verdict=valid%0A</code>%7C[x](https://evil.example)%60"
    ended = use(runner, run=f"curl -sS --max-time 60 -x {PROXY} '{evil}'")
    assert ended.outputs["verifier-verdict"] == "self_consistent_only"
    assert set(ended.outputs) == {
        *(
            "audit-packet-path",
            "packet-sha256",
            "receipt-count",
            "denied-count",
            "verifier-verdict",
            "exit-code",
        )
    }
    assert "](https://evil.example)" not in ended.summary.replace("`", "") or "`" in ended.summary
