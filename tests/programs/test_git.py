"""git over HTTPS against git http-backend, through opaque tunnels and where requests are judged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.programs.servers import Web
from tests.runs.launch import DENIAL_SECONDS, PROXY, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

SETTINGS = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{role}_{what}": "agent" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(*arguments: str | Path) -> str:
    """On the host, as whoever runs the tests."""
    ran = subprocess.run(
        ["git", *map(str, arguments)], env={**os.environ, **SETTINGS}, check=True, capture_output=True
    )
    return ran.stdout.decode().strip()


@pytest.fixture
def repository(web: Web, place: Place) -> Path:
    """A bare repository that takes pushes, with a commit of half a megabyte on main."""
    bare = web.root / "git" / f"{place.path.name}.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", bare)
    git("-C", bare, "config", "http.receivepack", "true")
    tree = place.path / "tree"
    git("clone", "--quiet", bare, tree)
    (tree / "data").write_bytes(os.urandom(1 << 19))
    git("-C", tree, "add", ".")
    git("-C", tree, "commit", "--quiet", "-m", "one")
    git("-C", tree, "push", "--quiet", "origin", "HEAD:main")
    return bare


@pytest.fixture
def environment(web: Web) -> dict[str, str]:
    return {**SETTINGS, "GIT_SSL_CAINFO": str(web.authority)}


@pytest.mark.parametrize("proxy", ["", PROXY])
def test_clone_and_fetch_over_https(
    place: Place, web: Web, repository: Path, environment: dict[str, str], proxy: str
) -> None:
    policy = write_policy("git.example.com", pins=web.pins("git.example.com"))
    url = f"https://git.example.com/git/{repository.name}"
    script = f"git clone -q {url} copy && git -C copy fetch -q && git -C copy rev-parse HEAD"
    ended = place.run(policy, "env", f"https_proxy={proxy}", "sh", "-c", script, environment=environment)
    assert (ended.code, ended.text.strip()) == (0, git("-C", repository, "rev-parse", "main"))
    assert (place.work / "copy" / "data").read_bytes() == (place.path / "tree" / "data").read_bytes()
    outcomes = ended.outcomes
    assert {outcome.facts["host"] for outcome in outcomes} == {"git.example.com"}
    assert {outcome.transport for outcome in outcomes} == {"connect" if proxy else "transparent"}
    assert sum(outcome.down for outcome in outcomes) > 1 << 19
    assert ended.blocks == []
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_push_leaves_where_the_tunnel_is_allowed(
    place: Place, web: Web, repository: Path, environment: dict[str, str]
) -> None:
    policy = write_policy("git.example.com", pins=web.pins("git.example.com"))
    url = f"https://git.example.com/git/{repository.name}"
    change = "dd if=/dev/urandom of=more bs=64k count=4 status=none; git add .; git commit -qm two"
    script = f"git clone -q {url} copy && cd copy && {change} && git push -q origin HEAD:main && git rev-parse HEAD"
    ended = place.run(policy, "sh", "-c", script, environment=environment)
    assert (ended.code, ended.text.strip()) == (0, git("-C", repository, "rev-parse", "main"))
    assert git("-C", repository, "log", "--format=%s", "main").split() == ["two", "one"]
    assert sum(outcome.up for outcome in ended.outcomes) > 4 * 65536
    assert ended.verify() == 0


def test_a_rule_for_fetching_lets_a_clone_by_and_no_push(
    place: Place, web: Web, repository: Path, environment: dict[str, str]
) -> None:
    """TLS ends at the boundary, under a certificate that git trusts without being told to."""
    more = '[[egress]]\ndestination = "git.example.com"\ngit = { fetch = ["git/*"], push = [] }\n'
    policy = write_policy(more=more, pins=web.pins("git.example.com"))
    url = f"https://git.example.com/git/{repository.name}"
    push = "git commit -qm two --allow-empty && git push origin HEAD:main"
    script = f"git clone -q {url} copy && cd copy && {push}"
    roots = {"SSL_CERT_FILE": str(web.authority)}
    ended = place.run(policy, "sh", "-c", script, environment={**environment, **roots})
    assert ended.code != 0
    assert (place.work / "copy" / "data").read_bytes() == (place.path / "tree" / "data").read_bytes()
    assert git("-C", repository, "log", "--format=%s", "main") == "one"
    assert {block.layer for block in ended.blocks} == {"operation"}
    assert {outcome.transport for outcome in ended.outcomes} == {"transparent", "intercept"}
    assert ended.verify() == 0


def test_a_denied_repository_is_cloned_by_none_of_its_paths(
    place: Place, web: Web, repository: Path, environment: dict[str, str]
) -> None:
    """The server finds a repository with a tree by its name, by the `.git` in it, and by its worktrees."""
    tree = repository.with_name(f"{place.path.name}-tree")
    git("clone", "--quiet", repository, tree)
    git("-C", tree, "worktree", "add", "--quiet", "-b", "more", place.path / "more")
    rules = [
        '[[egress]]\ndestination = "git.example.com"\n',
        f'[[egress]]\ndestination = "git.example.com"\ndeny = true\ngit = {{ fetch = ["git/{tree.name}"] }}\n',
    ]
    paths = [tree.name, f"{tree.name}/.git", f"{tree.name}/.git/worktrees/more"]
    script = "; ".join(
        f"git clone -q http://git.example.com/git/{path} copy && rm -r copy && echo {path}" for path in paths
    )
    pins = web.pins("git.example.com")
    free = place.run(write_policy(more=rules[0], pins=pins), "sh", "-c", script, environment=environment)
    assert free.text.split() == paths
    web.take_requests()
    ended = place.run(
        write_policy(more="".join(rules), pins=pins), "sh", "-c", script, environment=environment
    )
    assert (ended.text, len(ended.blocks), web.take_requests()) == ("", len(paths), [])
    assert {block.layer for block in ended.blocks} == {"deny_rule"}
    assert ended.verify() == 0


def test_over_plain_http_methods_tell_a_clone_from_a_push(
    place: Place, web: Web, repository: Path, environment: dict[str, str]
) -> None:
    """The dumb protocol reads by GET alone."""
    git("-C", repository, "update-server-info")
    more = '[[egress]]\ndestination = "git.example.com"\nmethods = ["GET"]\n'
    policy = write_policy(more=more, pins=web.pins("git.example.com"))
    url = f"http://git.example.com/git/{repository.name}"
    push = "git commit -qm two --allow-empty && git push origin HEAD:main"
    script = f"GIT_SMART_HTTP=0 git clone -q {url} copy && cd copy && {push}"
    ended = place.run(policy, "sh", "-c", script, environment=environment)
    assert ended.code != 0
    assert (place.work / "copy" / "data").exists()
    assert git("-C", repository, "log", "--format=%s", "main") == "one"
    assert {block.layer for block in ended.blocks} == {"method"}
    assert {block.method for block in ended.blocks} == {"POST"}
    assert {request["method"] for request in web.take_requests()} == {"GET"}
    assert ended.verify() == 0


@pytest.mark.parametrize("scheme", ["https", "http", "git"])
def test_a_denied_remote_fails_at_once(
    place: Place, web: Web, environment: dict[str, str], scheme: str
) -> None:
    policy = write_policy("git.example.com", pins=web.pins("git.example.com", "evil.example"))
    ended = place.run_timed(
        policy, "git", "clone", "-q", f"{scheme}://evil.example/x.git", environment=environment
    )
    assert ended.code == 128
    assert ended.took < DENIAL_SECONDS
    assert {query.reason for query in ended.queries} == {"no rule allows evil.example"}
    assert web.take_requests() == []
    assert ended.verify() == 0


def test_git_finds_the_repository_above_the_working_directory(place: Place) -> None:
    tree = place.path / "tree"
    git("init", "--quiet", tree)
    (tree / "sub").mkdir()
    ended = place.run(
        write_policy(), "git", "rev-parse", "--show-prefix", cwd=tree / "sub",
        environment={"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
    )  # fmt: skip
    assert (ended.code, ended.text) == (0, "sub/\n")
