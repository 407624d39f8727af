"""Every block of code in README and docs is tried: policies load, commands are ones, YAML and JSON is what it is.

Many are run as well, by the tests in RUN; what is only read here, and not run, is in READ with the reason.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import tomli
import yaml
from tests.blocks import BLOCK, ROOT, read_blocks

from trio_egress.cli.main import build_parser, main
from trio_egress.policy.load import load_policy

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))]
INDENTED = re.compile(r"(?:(?:^|(?<=\n))    [^\n]*\n)+")
HEAD = 'version = "1.0"\ndefault_deny = true\n'
NO_POLICY = {
    "docs/keys.md": ["version = 1"],
    "docs/mcp.md": ["[mcp_servers.files]"],
    "docs/scanning.md": ["[[rules]]"],
}
"""TOML of another kind, by its first line: a roster, a client's configuration, rules of detectors."""

RUN = {
    "README.md": ("tests/test_check.py", "tests/runs/test_start_page.py"),
    "docs/attestations.md": ("tests/evidence/test_statement.py",),
    "docs/ci.md": ("tests/action/test_workflows.py",),
    "docs/cookbook.md": ("tests/test_blocks.py",),
    "docs/embedding.md": ("tests/runs/test_embedding_page.py",),
    "docs/events.md": ("tests/runs/test_events_page.py",),
    "docs/fuzzing.md": ("tests/fuzzing/test_guide.py",),
    "docs/keys.md": ("tests/cli/keys/test_page.py", "tests/signer/test_remote.py"),
    "docs/mcp.md": ("tests/runs/test_mcp_page.py", "tests/programs/test_policy_pages.py"),
    "docs/operations.md": ("tests/evidence/test_kept_packets.py",),
    "docs/packets.md": ("tests/test_docs_commands.py",),
    "docs/policy.md": ("tests/policy/test_reference.py",),
    "docs/pytest.md": ("tests/runs/test_pytest_page.py",),
    "docs/receipts.md": ("tests/evidence/test_stranger.py",),
    "docs/scanning.md": ("tests/static/test_page.py", "tests/programs/test_policy_pages.py"),
    "docs/ssh.md": ("tests/programs/test_policy_pages.py",),
    "docs/start.md": ("tests/runs/test_start_page.py",),
    "docs/tcp.md": ("tests/programs/test_policy_pages.py",),
    "docs/verifying.md": ("tests/evidence/test_kept_packets.py",),
    "docs/websocket.md": ("tests/programs/test_policy_pages.py",),
    "docs/working-with-policies.md": ("tests/test_docs_commands.py",),
}
"""Who runs blocks of a page, which it reads for that. The policy of docs/ssh.md with a key outside only decides, here:
tests/programs/test_git_over_ssh.py runs the same with a server of its own."""

READ = {
    "docs/architecture.md": "its blocks are drawings",
    "docs/comparison.md": "its command needs root, and programs that only it needs; it prints the page's table",
    "docs/serve.md": "it is about a service of root's; tests/runs/test_serve.py starts the same elsewhere",
    "CONTRIBUTING.md": "it says how the tests are run",
    "docs/integrations.md": "its frameworks come with `nox -s integrations`; tests/frameworks runs an example of each",
}
"""Pages with blocks that are read here and run nowhere as they stand."""


@attrs.frozen
class Block:
    page: str
    language: str
    text: str

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]


def find_blocks() -> Iterator[Block]:
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for language, block in BLOCK.findall(text):
            yield Block(page, language, block)
        for block in INDENTED.findall(BLOCK.sub("", text)):
            yield Block(page, "indented", block)


BLOCKS = list(find_blocks())


def pick(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def test_every_page_with_a_block_is_run_or_says_why_not() -> None:
    assert {block.page for block in BLOCKS if block.language != "indented"} <= RUN.keys() | READ.keys()
    assert RUN.keys().isdisjoint(READ)
    for page, tests in RUN.items():
        for test in tests:
            assert Path(page).name in (ROOT / test).read_text("utf-8"), test


POLICIES = [
    block
    for block in pick("toml")
    if block.page != "docs/policy.md" and block.first not in NO_POLICY.get(block.page, [])
]


@pytest.mark.parametrize(
    "block", POLICIES, ids=lambda block: f"{block.page}: {block.text.count(chr(10))} lines"
)
def test_a_policy_loads_and_decides_what_its_tests_say(block: Block, tmp_path: Path) -> None:
    text = block.text if "default_deny" in block.text else HEAD + block.text
    assert load_policy(text, block.page)
    (tmp_path / "agent.toml").write_text(text, "utf-8")
    assert "[[test]]" in text or block.page != "docs/cookbook.md"
    if "[[test]]" in text:
        assert main(["policy", "test", str(tmp_path / "agent.toml")]) == 0


def test_git_over_ssh_is_decided_as_its_page_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its policy with a key outside, which no run here can have: the server whose key it pins is nobody's."""
    page = (ROOT / "docs/ssh.md").read_text("utf-8")
    (command,) = re.findall(r"`trio-egress (policy explain \S+)`", page)
    (push,) = re.findall(r"with `(\?service=\S+)` a push", page)
    (told,) = re.findall(r"^    trio-egress: denied by the egress policy: (.*\n    .*)$", page, re.MULTILINE)
    (tmp_path / "git.toml").write_text(read_blocks("docs/ssh.md", "toml")[1], "utf-8")
    explain = [*command.split(), "--policy", str(tmp_path / "git.toml")]
    assert main(explain) == 0
    assert main([*explain[:2], explain[2].replace("repo", "other") + push, *explain[3:]]) == 1
    assert " ".join(told.split()) in capsys.readouterr().out


def test_other_toml_is_toml() -> None:
    others = [block for block in pick("toml") if block.first in NO_POLICY.get(block.page, [])]
    assert len(others) == sum(map(len, NO_POLICY.values()))
    assert all(tomli.loads(block.text) for block in others)


def find_commands(text: str) -> Iterator[list[str]]:
    """The arguments of each `trio-egress` at the beginning of a command."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                if words[:1] == ["trio-egress"] and len(words) > 1:
                    yield words[1:]
                words = []
            else:
                words.append(word)


COMMANDS = [
    (block.page, command)
    for block in pick("sh", "console", "indented")
    if "trio-egress " in block.text
    for command in find_commands(re.sub(r"<<'(\w+)'.*?^\1$", "", block.text, flags=re.DOTALL | re.MULTILINE))
]


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 60


@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{page}: {' '.join(one)}" for page, one in COMMANDS]
)
def test_a_command_has_arguments_that_it_takes(page: str, command: list[str]) -> None:
    parser, _ = build_parser()
    assert parser.parse_known_args(command)[1] == []


def test_yaml_and_json_are_that_and_the_action_gets_inputs_that_it_has() -> None:
    inputs = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
    for block in pick("yaml"):
        steps = [
            one for one in find_tables(yaml.safe_load(block.text)) if "trio-egress@" in str(one.get("uses"))
        ]
        for step in steps:
            assert set(step["with"]) <= set(inputs), block.page
    assert all(json.loads(block.text) for block in pick("json"))
    assert len(pick("yaml")) > 5


def find_tables(value: object) -> Iterator[dict[str, dict[str, str]]]:
    """Every mapping in it."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from find_tables(inner)
