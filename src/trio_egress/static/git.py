"""git, asked by somebody who trusts neither the repository nor what its configuration would have git run.

Rule 1: only plumbing that looks at objects, index and names: no file of the working tree passes git, so no filter, no
        textconv and no external diff is asked for. Contents of the working tree are read and compared here.
Rule 2: what plumbing would run all the same (a file system monitor, hooks, a transport for missing objects) is off by
        settings that stand above those of the repository.
Rule 3: the repository is the one whose `.git` stands above the place, never one that its files, its settings or the
        environment point to. git itself is looked for in absolute places of PATH, never beside what is scanned.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

from trio_egress.errors import UsageError

OLDEST = (2, 31)
"""The first that takes settings from the environment (GIT_CONFIG_COUNT)."""

_SETTINGS = {
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.hooksPath": os.devnull,
    "core.sshCommand": "false",
    "core.pager": "cat",
    "core.quotePath": "false",
    "core.useReplaceRefs": "false",
    "diff.external": "",
    "diff.renameLimit": "2000",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",
    "safe.directory": "*",
    "submodule.recurse": "false",
}

_INSTALLED = "GIT_EXEC_PATH"
_INDEX = "GIT_INDEX_FILE"
"""Of a commit that is being made (`git commit -a`)."""

PIECE_BYTES = 1 << 20


class GitError(UsageError):
    """git could not say it; the message is git's own, or what is wrong with git."""


def find_git() -> str | None:
    """Its program. On Windows a bare name would first be looked for in the current directory."""
    places = [place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(place)]
    found = shutil.which("git", path=os.pathsep.join(places)) if places else None
    here = os.path.normcase(os.path.dirname(found)) if found else ""
    return found if here in {os.path.normcase(os.path.normpath(place)) for place in places} else None


def find_top(place: str) -> str | None:
    """The directory with `.git` at or above `place`, a real path; None where there is no repository."""
    while not os.path.lexists(os.path.join(place, ".git")):
        above = os.path.dirname(place)
        if above == place:
            return None
        place = above
    return place


class Repository:
    """The repository of the working tree at `top`."""

    def __init__(self, program: str, top: str, *, committing: bool = False) -> None:
        """`committing`: with the index of the commit that is being made, if there is one."""
        self.top = top
        self._program = program
        self._environment = _make_environment(top, committing)
        version = self.ask("--version").split()[2].decode("ascii", "replace")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            raise GitError(
                f"git {version} would run what a repository's settings say; {wanted} and later need not"
            )

    def ask(self, *arguments: str) -> bytes:
        """What git prints."""
        return self._run(*arguments).stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        ran = subprocess.run(
            [self._program, *arguments],
            cwd=self.top,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if ran.returncode:
            said = ran.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
            raise GitError(f"git: {said[-1] if said else f'it ended with {ran.returncode}'}")
        return ran

    def list_files(self, below: str = "") -> tuple[list[str], list[str]]:
        """What is tracked, and what is neither tracked nor ignored, from `top`; a repository inside ends with "/".

        And what git had to leave out, in its words.
        """
        listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
        ran = self._run("--literal-pathspecs", *listed, "--", *([below] if below else []))
        warned = ran.stderr.decode("utf-8", "backslashreplace").splitlines()
        return split_names(ran.stdout), [line.removeprefix("warning: ") for line in warned]

    def find_commit(self, name: str) -> str:
        """The hash of a commit; whatever it is called, it is no option."""
        return self._ask_one(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", name=name
        )

    def find_head(self) -> str:
        """The commit that the next one follows; before the first, what has nothing in it."""
        try:
            return self.find_commit("HEAD")
        except GitError:
            return self.ask("hash-object", "-t", "tree", os.devnull).decode("ascii").strip()

    def find_base(self, name: str) -> str:
        """Where this branch left that commit."""
        ours = self.find_commit("HEAD")
        return self._ask_one("merge-base", self.find_commit(name), ours, name=name)

    def _ask_one(self, *arguments: str, name: str) -> str:
        try:
            return self.ask(*arguments).decode("ascii").strip()
        except GitError:
            reason = "is no commit here; a CI's checkout may have to fetch it"
            if arguments[0] == "merge-base":
                reason = "has nothing in common with HEAD; a shallow clone may have to fetch more"
            raise GitError(f"{name!r} {reason}") from None

    def open_objects(self) -> Objects:
        """Contents by hash."""
        return Objects(
            subprocess.Popen(
                [self._program, "cat-file", "--batch"],
                cwd=self.top,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )


class Objects:
    """A `git cat-file --batch` that is asked for one object after another."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> Objects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, digest: str) -> Iterator[bytes]:
        """Its content. To be exhausted before the next is asked for."""
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        asked.write(f"{digest}\n".encode("ascii"))
        asked.flush()
        head = answered.readline().split()
        if len(head) != 3:
            raise OSError(f"git has no object {digest}")
        left = int(head[2])
        while left:
            piece = answered.read(min(left, PIECE_BYTES))
            if not piece:
                raise OSError(f"git ended in object {digest}")
            left -= len(piece)
            yield piece
        answered.read(1)


def split_names(raw: bytes) -> list[str]:
    """The fields of what `-z` separates."""
    return [os.fsdecode(name) for name in raw.split(b"\0") if name]


def _make_environment(top: str, committing: bool) -> dict[str, str]:
    kept = (_INSTALLED, _INDEX) if committing else (_INSTALLED,)
    given = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in kept}
    return {**given, **_name_repository(top), **_spell_settings(_SETTINGS.items())}


def _name_repository(top: str) -> dict[str, str]:
    return {
        "GIT_DIR": os.path.join(top, ".git"),
        "GIT_WORK_TREE": top,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
    }


def _spell_settings(settings: Iterable[tuple[str, str]]) -> dict[str, str]:
    """As git reads them from its environment, above every file's."""
    pairs: Sequence[tuple[str, str]] = list(settings)
    spelt = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs):
        spelt[f"GIT_CONFIG_KEY_{number}"] = key
        spelt[f"GIT_CONFIG_VALUE_{number}"] = value
    return spelt
