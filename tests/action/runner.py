"""A small runner of GitHub's workflows: what its documentation promises to steps and actions, and no more.

It runs jobs whose steps are shell commands, composite actions and Node actions: environment files, outputs, summary,
state and post steps, masks and commands. Programs of GitHub's own that our examples use (checkout, artifacts, code
scanning) are done here by hand. It is for tests: it trusts its workflows, and nothing of an agent's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml
from tests.action.expressions import Contexts, fill, is_due
from tests.action.log import Log
from tests.runs.launch import PATIENCE_SECONDS

FILES = {
    "GITHUB_ENV": "set_env",
    "GITHUB_PATH": "add_path",
    "GITHUB_OUTPUT": "set_output",
    "GITHUB_STATE": "save_state",
    "GITHUB_STEP_SUMMARY": "step_summary",
}
SUMMARY_BYTES = 1024 * 1024
SHELLS = {
    "": ("bash", "-e"),
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"),
    "sh": ("sh", "-e"),
}
HEREDOC = re.compile(r"(?P<name>[^=\r\n]+?)<<(?P<end>[^\r\n]+)")


@attrs.define
class Ended:
    """A step that is over."""

    name: str
    code: int
    log: Log
    outputs: dict[str, str] = attrs.field(factory=dict)
    summary: str = ""

    @property
    def outcome(self) -> str:
        return "failure" if self.code else "success"


@attrs.define
class Files:
    """The files of one step, by their variables."""

    paths: dict[str, Path]

    def read(self, name: str) -> dict[str, str]:
        """As the runner reads them: `NAME=VALUE`, or `NAME<<END`, lines, and END."""
        lines = self.paths[name].read_text("utf-8", "replace").split("\n")
        found: dict[str, str] = {}
        while lines:
            line = lines.pop(0).rstrip("\r")
            if not line:
                continue
            if match := HEREDOC.fullmatch(line):
                end = lines.index(match["end"])
                found[match["name"]] = "\n".join(lines[:end])
                del lines[: end + 1]
            else:
                key, sign, value = line.partition("=")
                assert sign, f"the runner refuses {line!r} in {name}"
                found[key] = value
        return found


class Runner:
    """One job on one machine. `home` is the runner's, with the places that a real one has below it."""

    def __init__(self, home: Path, actions: Mapping[str, Path], environment: Mapping[str, str]) -> None:
        self.home = home
        self.workspace = home / "work" / "repo" / "repo"
        self.temp = home / "work" / "_temp"
        self.artifacts = home / "artifacts"
        self.scanned = home / "scanned"
        self.actions = actions
        for folder in (self.workspace, self.temp / "_runner_file_commands", self.artifacts, self.scanned):
            folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **environment,
            "HOME": str(home),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_REPOSITORY": "octo/repo",
            "GITHUB_RUN_ID": "1234",
            "RUNNER_TEMP": str(self.temp),
        }
        self.system = "Linux"
        self.masks: list[str] = []
        self.given: dict[str, dict[str, str]] = {}
        """Outputs of steps that are not run, by their ids: what was installed once need not be again."""

        self.failed = False
        self.steps: dict[str, Any] = {}
        self.ended: list[Ended] = []
        self._posts: list[tuple[Path, dict[str, str]]] = []

    def run_job(self, job: Mapping[str, Any], contexts: Contexts | None = None) -> list[Ended]:
        """Every step that is due, then the post steps, the last one's first."""
        known = {"matrix": {}, "secrets": {}, "needs": {}, "inputs": {}, **(contexts or {})}
        for name, value in {**job.get("env", {})}.items():
            self.environment[name] = fill(str(value), {**self._contexts(), **known})
        for number, step in enumerate(job["steps"]):
            found = {
                **self._contexts(),
                **known,
                "github": {**self._contexts()["github"], **known.get("github", {})},
            }
            if is_due(step.get("if"), found):
                self._end(self.run_step(step, found, f"step {number}"), step)
        for script, environment in reversed(self._posts):
            self._end(self._start(["node", str(script)], environment, f"post {script.parent.name}"), {})
        return self.ended

    def run_step(self, step: Mapping[str, Any], contexts: Contexts, name: str) -> Ended:
        added = {key: fill(str(value), contexts) for key, value in step.get("env", {}).items()}
        inputs = {key: fill(str(value), contexts) for key, value in step.get("with", {}).items()}
        if "uses" in step:
            return self._use(step["uses"], inputs, added)
        script = self.temp / f"{uuid.uuid4()}.sh"
        script.write_text(fill(step["run"], contexts))
        folder = self.workspace / fill(step.get("working-directory", "."), contexts)
        shell = (*SHELLS[step.get("shell", "")], str(script))
        return self._start(list(shell), added, step.get("name", name), folder)

    def _end(self, ended: Ended, step: Mapping[str, Any]) -> None:
        self.ended.append(ended)
        if identifier := step.get("id"):
            self.steps[identifier] = {"outputs": ended.outputs, "outcome": ended.outcome}
        if ended.code and not step.get("continue-on-error"):
            self.failed = True

    def _contexts(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "failed": self.failed,
            "runner": {"os": self.system, "temp": str(self.temp)},
            "github": {
                "workspace": str(self.workspace),
                "sha": "0" * 40,
                "ref_name": "main",
                "run_id": "1234",
            },
            "env": self.environment,
        }

    # actions

    def _use(self, uses: str, inputs: dict[str, str], added: dict[str, str]) -> Ended:
        name = uses.partition("@")[0]
        if name not in self.actions:
            return self._do_by_hand(name, inputs)
        folder = self.actions[name]
        action = yaml.safe_load((folder / "action.yml").read_text())
        known = {
            key: str(value.get("default", "")) for key, value in action.get("inputs", {}).items()
        } | inputs
        assert not inputs.keys() - action.get("inputs", {}).keys(), f"unknown inputs: {inputs}"
        added = {**added, "GITHUB_ACTION_PATH": str(folder)}
        if action["runs"]["using"] != "composite":
            return self._use_node(action["runs"], folder, known, added)
        return self._use_composite(action, known, added, name)

    def _use_node(
        self, runs: Mapping[str, str], folder: Path, inputs: Mapping[str, str], added: dict[str, str]
    ) -> Ended:
        added |= {f"INPUT_{key.upper().replace(' ', '_')}": value for key, value in inputs.items()}
        files = self._make_files()
        ended = self._start(["node", str(folder / runs["main"])], added, folder.name, files=files)
        if "post" in runs:
            state = {f"STATE_{key}": value for key, value in files.read("GITHUB_STATE").items()}
            self._posts.append((folder / runs["post"], {**added, **state}))
        return ended

    def _use_composite(
        self, action: Mapping[str, Any], inputs: Mapping[str, str], added: Mapping[str, str], name: str
    ) -> Ended:
        steps: dict[str, Any] = {}
        whole = Ended(name, 0, Log(self.masks))
        for number, step in enumerate(action["runs"]["steps"]):
            identifier = step.get("id", "")
            if identifier in self.given:
                steps[identifier] = {"outputs": self.given[identifier]}
                continue
            contexts = {**self._contexts(), "steps": steps, "inputs": inputs, "failed": bool(whole.code)}
            if not is_due(step.get("if"), contexts):
                continue
            env = {**added, **{key: fill(str(v), contexts) for key, v in step.get("env", {}).items()}}
            ended = self.run_step({**step, "env": env}, contexts, f"{name} {number}")
            steps[identifier] = {"outputs": ended.outputs}
            whole.code = whole.code or ended.code
            whole.summary += ended.summary
            whole.log.shown += ended.log.shown
            whole.log.annotations += ended.log.annotations
            whole.log.commands += ended.log.commands
        contexts = {**self._contexts(), "steps": steps, "inputs": inputs}
        for key, output in action.get("outputs", {}).items():
            whole.outputs[key] = fill(output["value"], contexts)
        return whole

    def _do_by_hand(self, name: str, inputs: Mapping[str, str]) -> Ended:
        log = Log(self.masks)
        if name == "actions/checkout":  # what is checked out stands there already
            return Ended(name, 0, log)
        if name == "actions/upload-artifact":
            kept = self.artifacts / inputs.get("name", "artifact")
            found = [self.workspace / line.strip() for line in inputs["path"].splitlines() if line.strip()]
            for path in found:
                target = kept if len(found) == 1 else kept / path.name
                shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, kept)
            return Ended(name, 0, log)
        if name == "actions/download-artifact":
            target = self.workspace / inputs.get("path", ".")
            shutil.copytree(self.artifacts / inputs["name"], target, dirs_exist_ok=True)
            return Ended(name, 0, log)
        assert name == "github/codeql-action/upload-sarif", f"this runner has no {name}"
        shutil.copy(self.workspace / inputs["sarif_file"], self.scanned)
        return Ended(name, 0, log)

    # processes

    def _make_files(self) -> Files:
        folder, token = self.temp / "_runner_file_commands", uuid.uuid4()
        paths = {variable: folder / f"{kind}_{token}" for variable, kind in FILES.items()}
        for path in paths.values():
            path.touch()
        return Files(paths)

    def _start(
        self,
        command: list[str],
        added: Mapping[str, str],
        name: str,
        folder: Path | None = None,
        files: Files | None = None,
    ) -> Ended:
        files = files or self._make_files()
        named = {key: str(path) for key, path in files.paths.items()}
        environment = {**self.environment, "RUNNER_OS": self.system, **added, **named}
        log = Log(self.masks)
        process = subprocess.Popen(
            command,
            cwd=folder or self.workspace,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        with process:
            for line in _split(process.stdout.read()):
                log.read(line)
            code = process.wait(PATIENCE_SECONDS)
        self.environment |= files.read("GITHUB_ENV")
        for place in files.paths["GITHUB_PATH"].read_text().split():
            self.environment["PATH"] = f"{place}{os.pathsep}{self.environment['PATH']}"
        summary = files.paths["GITHUB_STEP_SUMMARY"].read_text("utf-8")
        assert len(summary.encode()) <= SUMMARY_BYTES, "the runner drops such a summary"
        return Ended(name, code, log, files.read("GITHUB_OUTPUT"), summary)


def _split(raw: bytes) -> Iterator[str]:
    """As .NET reads lines: a CR alone ends one, too."""
    yield from re.split(r"\r\n|\r|\n", raw.decode("utf-8", "replace"))
