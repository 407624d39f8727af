"""`[files]` in real runs: what is writable, hidden, protected, and what is told of what could not be prevented.

The agent says what its attempts came to; whether they had an effect is looked at outside, and told by the receipts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import AGENT, AS_ROOT, Ended, Place, read_lines, write_policy

pytestmark = pytest.mark.sandbox

OPEN = '[files]\nprotect = ["!**/.git", "!**/.git/config", "!**/.git/hooks"]\n'
"""A control: the same run with git's own files left open."""


def give(path: Path) -> Path:
    """Make it the agent's, with all in it."""
    for folder, names, files in os.walk(path):
        for name in (".", *names, *files):
            os.chown(Path(folder, name), AGENT.pw_uid, AGENT.pw_gid, follow_symlinks=False)
    return path


def protected(ended: Ended) -> Mapping[str, Any]:
    """What the close receipt says of protected files."""
    facts: Mapping[str, Any] = read_lines(ended.evidence)[-1]["ext"]["trio_egress"]["protected"]
    return facts


def touched(ended: Ended) -> dict[str, list[str]]:
    """The same, as names in the working directory, without what did not happen."""
    facts = protected(ended)
    names = {
        kind: [os.path.relpath(path, ended.work) for path in facts[kind]]
        for kind in ("changed", "created", "removed")
    }
    return {kind: found for kind, found in names.items() if found}


def tries(*commands: str) -> tuple[str, ...]:
    """An agent that tries each, and says which went well."""
    lines = [
        f"if ( {command} ) 2>/dev/null; then echo done {number}; fi"
        for number, command in enumerate(commands)
    ]
    return ("bash", "-c", "\n".join(lines))


@pytest.fixture
def repository(place: Place) -> Path:
    """A git repository as the agent's working directory."""
    for path in (".git/hooks", ".git/refs", ".github/workflows", "src"):
        (place.work / path).mkdir(parents=True)
    for path in (
        ".git/config",
        ".git/HEAD",
        ".git/hooks/pre-commit.sample",
        ".github/workflows/ci.yml",
        ".npmrc",
    ):
        (place.work / path).write_text("as it was\n")
    return give(place.work)


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ATTACKS = (
    "echo x >.git/config",
    "rm .git/config",
    "mv .git/config .git/c",
    "echo x >x; mv -f x .git/config",
    "ln -f src/x .git/config",
    "echo x >.git/hooks/pre-commit",
    "echo x >.git/hooks/pre-commit.sample",
    "chmod +x .git/hooks/pre-commit.sample",
    "rm -r .git/hooks",
    "mv .git/hooks .git/h",
    "mv .git g; mkdir -p .git/hooks; echo x >.git/config",
    "mkdir g; mv -T g .git",
    "mkdir .github/w; mv -T .github/w .github/workflows",
    "mv .github g; mkdir -p .github/workflows; echo x >.github/workflows/x.yml",
    "echo x >.github/workflows/x.yml",
    "echo x >/proc/self/cwd/.npmrc",
    "umount .npmrc || mount -o remount,rw .npmrc",
    "python3 -c 'import os; os.unlink(\".npmrc\")'",
    "ln .npmrc src/other && echo x >src/other",
)


def test_what_acts_outside_cannot_be_changed_moved_or_replaced(place: Place, repository: Path) -> None:
    before = read_all(repository)
    ended = place.run(write_policy(), *tries(*ATTACKS))
    assert ended.code != 125
    assert (ended.text.split("\n")[:-1], touched(ended)) == ([], {})
    after = read_all(repository)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if name.startswith((".git/", ".github/")) and name not in before]
    assert protected(ended)["searched"] == "all"
    assert ended.status["message"] == ""
    assert ended.verify() == 0


def test_the_same_attacks_work_where_the_policy_leaves_git_open(place: Place, repository: Path) -> None:
    ended = place.run(
        write_policy(more=OPEN), *tries("echo x >.git/config", "mv .git g; mkdir -p .git/hooks")
    )
    assert ended.text == "done 0\ndone 1\n"
    assert (repository / "g/config").read_text() == "x\n"
    assert touched(ended) == {}


def test_everything_else_in_the_repository_can_be_written(place: Place, repository: Path) -> None:
    ended = place.run(
        write_policy(),
        *tries(
            "echo x >.git/index",
            "echo x >src/a",
            "mv src s",
            "mkdir .github/x",
            "echo x >Makefile",
            "rm -r s",
        ),
    )
    assert ended.text == "".join(f"done {number}\n" for number in range(6))
    assert (repository / ".git/index").read_text() == "x\n"
    assert touched(ended) == {}


def test_what_the_agent_creates_is_told_by_receipt_and_message(place: Place) -> None:
    ended = place.run(
        write_policy(),
        *tries(
            "mkdir -p .git/hooks; echo x >.git/hooks/post-checkout", "echo x >.gitlab-ci.yml", "echo x >src"
        ),
    )
    assert ended.code == 0
    assert touched(ended) == {"created": [".git", ".gitlab-ci.yml"]}
    assert protected(ended)["created_count"] == 2
    assert ended.status["message"].startswith("protected files: created .git, .gitlab-ci.yml (")
    assert ended.status["message"] in ended.err
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize(("owner", "mode"), [(AGENT.pw_uid, 0o700), (os.geteuid(), 0o770)])
def test_it_is_told_where_the_supervisor_itself_could_not_look(place: Place, owner: int, mode: int) -> None:
    os.chown(place.work, owner, AGENT.pw_gid)
    place.work.chmod(mode)
    ended = place.run(
        write_policy(), *tries("mkdir -p a/.git; echo x >a/.git/config; chmod 0 a/.git a; true")
    )
    for name in ("a", "a/.git"):
        (place.work / name).chmod(0o755)
    assert ended.text == "done 0\n"
    assert touched(ended) == {"created": ["a/.git"]}
    assert protected(ended)["searched"] == "all"


def test_a_directory_moved_aside_with_what_is_protected_in_it_is_told(place: Place) -> None:
    for name in (".git", ".envrc"):
        (place.work / "deep/er").mkdir(parents=True, exist_ok=True)
        (place.work / "deep/er" / name).write_text("as it was")
    give(place.work)
    ended = place.run(
        write_policy(),
        *tries(
            "echo x >deep/er/.envrc",
            "mv deep d; mkdir -p deep/er; echo x >deep/er/.envrc; echo x >deep/er/.git",
        ),
    )
    assert ended.text == "done 1\n"
    assert touched(ended) == {
        "changed": ["deep/er/.envrc", "deep/er/.git"],
        "created": ["d/er/.envrc", "d/er/.git"],
    }


def test_a_file_changed_by_its_other_name_is_told(place: Place, repository: Path) -> None:
    os.link(repository / ".npmrc", repository / "other")
    ended = place.run(write_policy(), *tries("echo x >other; touch -d '2020-01-01' other"))
    assert ended.text == "done 0\n"
    assert touched(ended) == {"changed": [".npmrc"]}


def test_a_link_is_protected_where_it_leads_and_told_where_it_is(place: Place) -> None:
    (place.work / "hooks").mkdir()
    (place.work / ".git").mkdir()
    (place.work / ".git/hooks").symlink_to("../hooks")
    give(place.work)
    ended = place.run(write_policy(), *tries("echo x >hooks/pre-commit", "rm .git/hooks; mkdir .git/hooks"))
    assert ended.text == "done 1\n"
    assert touched(ended) == {"changed": [".git/hooks"]}


@pytest.fixture
def place_in_tmp() -> Iterator[Place]:
    place = Place("/tmp")
    yield place
    place.close()


def test_a_working_directory_that_is_moved_in_the_agents_view_is_looked_at_all_the_same(
    place_in_tmp: Place,
) -> None:
    # /tmp is the run's own. Whoever made the way to the working directory in it can move that: as an ordinary user it
    # is the agent's user, as root it is not.
    place, folder = place_in_tmp, place_in_tmp.path
    movable = not AS_ROOT
    move = f"cd /; mv {folder} /tmp/moved && mkdir -p {place.work}"
    ended = place.run(write_policy(), *tries(move, f"echo x >/tmp/moved/{place.work.name}/.envrc"))
    assert ended.text == ("done 0\ndone 1\n" if movable else "")
    assert touched(ended) == ({"created": [".envrc"]} if movable else {})
    assert (place.work / ".envrc").exists() == movable


def test_the_policy_in_use_is_protected_under_whatever_name(place: Place) -> None:
    policy = place.work / "mine.toml"
    policy.write_text(write_policy())
    give(place.work)
    ended = place.run(
        write_policy(), *tries("echo >mine.toml", "rm mine.toml"), options=["--policy", str(policy)]
    )
    assert ended.text == ""
    assert policy.read_text() == write_policy()


def test_a_policy_adds_to_what_is_protected(place: Place) -> None:
    for name in ("Makefile", "a.mk", "sub/b.mk"):
        (place.work / name).parent.mkdir(exist_ok=True)
        (place.work / name).write_text("as it was")
    give(place.work)
    ended = place.run(
        write_policy(more='[files]\nprotect = ["Makefile", "**/*.mk"]\n'),
        *tries("echo >Makefile", "echo >a.mk", "echo >sub/b.mk", "echo >sub/c.mk"),
    )
    assert ended.text == "done 3\n"
    assert touched(ended) == {"created": ["sub/c.mk"]}


def test_an_agent_plants_no_compiled_detectors(place: Place) -> None:
    if AS_ROOT:  # then the directory is lent to the agent, and what it makes in it is root's
        os.chown(place.work, 0, 0)
    (place.work / ".cache").mkdir()
    attempts = tries(
        "echo >.cache/trio-egress/planted",
        "rmdir .cache/trio-egress",
        "mv .cache/trio-egress .cache/moved",
        "mv .cache moved",
        "echo >.cache/control",
    )
    ended = place.run(write_policy(), *attempts, environment={"XDG_CACHE_HOME": str(place.work / ".cache")})
    assert ended.text == "done 4\n"
    assert list((place.work / ".cache" / "trio-egress").iterdir()) == []


@pytest.mark.ordinary
def test_compiled_detectors_are_out_of_reach_in_a_home(place: Place) -> None:
    """Its changes are the run's own: what the agent plants there is gone with it."""
    home = place.path / "home"
    cache = home / ".cache" / "trio-egress"
    cache.mkdir(parents=True)
    give(home)
    ended = place.run(
        write_policy(),
        *tries("echo >~/.cache/trio-egress/planted", "test -e ~/.cache/trio-egress/planted"),
        environment={"HOME": str(home)},
    )
    assert ended.text == "done 0\ndone 1\n"
    assert list(cache.iterdir()) == []


@contextmanager
def outside(name: str) -> Iterator[Path]:
    """A directory of the agent's user that is neither in the working directory nor in a /tmp."""
    parent = Path("/srv") if AS_ROOT else Path(AGENT.pw_dir)
    path = parent / f"trio-egress-test-{os.getpid()}-{name}"
    path.mkdir()
    try:
        yield give(path)
    finally:
        shutil.rmtree(path)


def test_a_directory_is_writable_where_the_policy_says_so_and_protected_in_it(place: Place) -> None:
    with outside("write") as folder:
        (folder / ".npmrc").write_text("as it was")
        commands = tries(f"echo x >{folder}/new", f"echo x >{folder}/.npmrc", f"echo x >{folder}/.envrc")
        ended = place.run(write_policy(more=f'[files]\nwrite = ["{folder}"]\n'), *commands)
        assert ended.text == "done 0\ndone 2\n"
        assert (folder / "new").read_text() == "x\n"
        assert (folder / ".npmrc").read_text() == "as it was"
        assert protected(ended)["created"] == [f"{folder}/.envrc"]
        control = place.run(write_policy(), *tries(f"test -d {folder}", f"echo y >{folder}/new"))
        assert (folder / "new").read_text() == "x\n"
        if AS_ROOT:  # an ordinary user's is in HOME, whose changes end with the run
            assert control.text == "done 0\n"


def test_what_is_hidden_looks_empty(place: Place) -> None:
    (place.work / "secrets").mkdir()
    (place.work / "secrets/a").write_text("secret")
    (place.work / "token").write_text("secret")
    give(place.work)
    hide = '[files]\nhide = ["secrets", "./token"]\n'
    command = ("bash", "-c", "ls secrets; cat token; grep -rs secret . && echo found; true")
    assert place.run(write_policy(more=hide), *command).text == ""
    assert "found" in place.run(write_policy(), *command).text


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ('write = ["missing"]', "[files] write: missing does not exist: make it before the run (/"),
        ('write = ["/etc/hostname"]', "[files] write: /etc/hostname is no directory"),
        ('write = ["/proc/sys"]', "[files] write: /proc/sys can't be made writable for the agent"),
        ('write = ["/dev"]', "[files] write: /dev can't be made writable for the agent"),
        ('hide = ["missing"]', "[files] hide: missing does not exist (/"),
        ('hide = ["/tmp"]', "[files] hide: /tmp holds the working directory"),
    ],
)
def test_what_cannot_be_as_the_policy_says_never_runs(place: Place, files: str, said: str) -> None:
    if "/tmp" in files and not str(place.work).startswith("/tmp/"):
        said = ""
    ended = place.run(write_policy(more=f"[files]\n{files}\n"), "touch", "ran")
    assert not said or (ended.code == 125 and said in ended.err)
    assert not said or not (place.work / "ran").exists()


def test_git_works_in_a_protected_repository(place: Place) -> None:
    script = (
        "git init -q -b main . && git config user.email a@example.com && git config user.name a && touch a"
    )
    user: dict[str, Any] = (
        {"user": AGENT.pw_uid, "group": AGENT.pw_gid, "extra_groups": []} if AS_ROOT else {}
    )
    subprocess.run(
        ["bash", "-c", script],
        cwd=place.work,
        check=True,
        env={**os.environ, "HOME": str(place.work)},
        **user,
    )
    agent = """
    set -e
    git add a; git commit -qm one; git checkout -q -b other; echo x >b; git add b; git stash -q; git stash pop -q
    git commit -qm two; git checkout -q main; git merge -q other; git tag v1; git rebase -q HEAD~1; git mv b c
    git commit -qm three; git gc -q; git fsck; git status --short; git log --oneline | wc -l
    ! git config alias.x '!sh' 2>/dev/null
    """
    ended = place.run(write_policy(), "bash", "-c", agent)
    assert (ended.code, ended.text.split()[-1]) == (0, "3"), ended.err
    assert touched(ended) == {}


MOVES_THE_WAY = tries(
    "mv kept moved && mkdir -p kept/inner/packet && echo forged >kept/inner/packet/evidence.jsonl",
    "mv kept/inner kept/moved",
    "echo mine >kept/inner/mine",
)


def test_no_way_to_the_evidence_is_moved_so_that_another_has_its_name(place: Place) -> None:
    """Where it is some way down in the agent's own directory; beside it the agent makes and moves what it likes."""
    give_way(place, "kept/inner")
    packet = place.work / "kept" / "inner" / "packet"
    ended = place.run(write_policy(), *MOVES_THE_WAY, options=("--evidence", str(packet)))
    assert (ended.code, ended.text.split("\n")) == (0, ["done 2", ""])
    assert (packet / "summary.md").exists()
    assert sorted(os.listdir(place.work / "kept")) == ["inner"]


def test_the_same_way_is_moved_where_no_evidence_is(place: Place) -> None:
    give_way(place, "kept/inner")
    ended = place.run(write_policy(), *MOVES_THE_WAY)
    assert "done 0" in ended.text
    assert (place.work / "moved").exists()


def give_way(place: Place, name: str) -> None:
    (place.work / name).mkdir(parents=True)
    give(place.work)
