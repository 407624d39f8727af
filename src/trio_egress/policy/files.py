"""The `[files]` table: what the agent may write, what it must not see, and what it must not change.

Strings only: which of the paths exist, and where HOME is, is another floor's to find out.

Rule 1: a path is absolute, relative to the working directory, or begins with `~/` (the agent's HOME). Its normal form
has no `.`, no empty part and no `/` at its end; `..` is refused, because where it leads depends on links.
Rule 2: `protect` adds to DEFAULT_PROTECT; only an entry that takes one of these off by name (`!path`) opens it.
"""

from __future__ import annotations

from trio_egress.policy.values import read_texts
from trio_egress.texts.faults import Fault, Faults, hint_nearest, show
from trio_egress.values import frozen

PATH_CHARS = 4096
"""PATH_MAX."""

DEFAULT_PROTECT = (
    # What git runs or obeys, and what decides where it looks for that.
    *("**/.git", "**/.git/config", "**/.git/config.worktree", "**/.git/hooks", "**/.git/commondir"),
    # The same of submodules and of linked worktrees, which have submodules of their own. Not their `gitdir`: it runs
    # nothing, and git writes it anew each day.
    *("**/.git/modules/**/config", "**/.git/modules/**/config.worktree", "**/.git/modules/**/hooks"),
    *(
        "**/.git/modules/**/commondir",
        "**/.git/worktrees/**/commondir",
        "**/.git/worktrees/**/config.worktree",
    ),
    *("**/.git/worktrees/**/config", "**/.git/worktrees/**/hooks", "HEAD", ".gitmodules"),
    *(".husky", ".pre-commit-config.yaml", "lefthook.yml", ".lefthook.yml"),
    # What a CI service runs, with its secrets, as soon as it is pushed.
    *(".github/workflows", ".github/actions", ".gitlab-ci.yml", ".circleci", ".travis.yml", "Jenkinsfile"),
    *("azure-pipelines.yml", "bitbucket-pipelines.yml", ".buildkite", ".drone.yml", ".woodpecker"),
    *(".woodpecker.yml", ".forgejo/workflows", ".gitea/workflows"),
    # What an editor, or the next agent, runs when it opens the directory.
    *(".vscode", ".idea", ".devcontainer", ".devcontainer.json", ".exrc", ".nvimrc", ".nvim.lua"),
    *(".dir-locals.el", ".mcp.json", ".claude/settings.json", ".claude/settings.local.json", ".claude/hooks"),
    *(".cursor/mcp.json", ".cursor/hooks.json", ".gemini/settings.json", ".codex/config.toml"),
    # What a shell or tool obeys in the directory it is started in, or in a HOME.
    *("**/.envrc", ".mise.toml", "mise.toml", ".gdbinit", ".lldbinit"),
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshenv"),
    *(".zshrc", ".zprofile", ".zlogin", ".zlogout", ".config/fish", ".inputrc", ".ssh", ".gitconfig"),
    *(".config/git", ".netrc", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", ".cargo/config"),
    *(".cargo/config.toml", ".curlrc", ".wgetrc", ".condarc"),
    # What says what the next agent may do.
    *("trio-egress.toml", "trio-egress.yaml"),
)
"""What acts outside by merely being there, before anybody has read a diff: in every directory that stays writable.

Not what runs when the project is built or tested (Makefile, package.json, conftest.py): agents are there to edit it,
and whoever builds the tree after an agent runs the agent's code.
"""


@frozen(kw_only=True)
class Files:
    """A field for each key; paths in normal form. `protect` is the whole list, sorted, defaults and all."""

    write: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    protect: tuple[str, ...] = tuple(sorted(DEFAULT_PROTECT))


def read_write(value: object) -> tuple[str, ...]:
    return read_texts("write", value, '["build", "~/.cache/pip"]', parse_path)


def read_hide(value: object) -> tuple[str, ...]:
    return read_texts("hide", value, '["secrets", "/srv/data"]', _parse_hidden)


def read_protect(value: object) -> tuple[str, ...]:
    """The defaults, without those taken off and with those added."""
    entries = read_texts("protect", value, '["Makefile", "!.github/workflows"]', _parse_protect)
    taken = {entry[1:] for entry in entries if entry.startswith("!")}
    added = {entry for entry in entries if not entry.startswith("!")}
    return tuple(sorted((set(DEFAULT_PROTECT) - taken) | added))


def check_files(files: Files) -> Files:
    """What each key may say, but not together. Raises Faults; paths are relative to the table."""
    faults = []
    for place, path in enumerate(files.write):
        for hidden in files.hide:
            if path == hidden or path.startswith(f"{hidden}/"):
                faults.append(
                    Fault(("write", place), f"{show(path)} can't be written and hidden ({show(hidden)})")
                )
                break
    if faults:
        raise Faults(faults)
    return files


def parse_path(raw: str) -> str:
    """The normal form of a path without wildcards; `.` is the working directory, `~` the agent's HOME."""
    if "*" in raw or "?" in raw:
        raise ValueError(f"{show(raw)} has a wildcard, and only protect takes those: name the directory")
    path = _normalise(raw)
    if path == "/":
        raise ValueError('"/" is the whole machine; name the directories')
    return path


def _parse_hidden(raw: str) -> str:
    path = parse_path(raw)
    if path == ".":
        raise ValueError("the working directory can't be hidden: the agent starts in it")
    return path


def _parse_protect(raw: str) -> str:
    if raw.startswith("!"):
        path = _normalise(raw[1:])
        if path not in DEFAULT_PROTECT:
            hint = hint_nearest(path, DEFAULT_PROTECT)
            raise ValueError(f"{show(path)} is not protected by default, so it can't be taken off{hint}")
        return f"!{path}"
    path = _normalise(raw)
    if path in (".", "/", "~"):
        raise ValueError(
            f"{show(raw)} is a whole directory, which the agent must be able to write; name what is in it"
        )
    if any("**" in part and part != "**" for part in path.split("/")):
        raise ValueError(f'{show(raw)}: "**" stands alone between slashes, as in "**/.envrc"')
    if path.split("/")[-1] == "**":
        raise ValueError(f'{show(raw)}: after "**/" comes a name; a directory is protected with all in it')
    return path


def _normalise(raw: str) -> str:
    if not raw:
        raise ValueError("the path is empty")
    if len(raw) > PATH_CHARS:
        raise ValueError(f"the path is longer than {PATH_CHARS} characters")
    if not raw.isprintable():
        raise ValueError("the path has a character that can't be printed")
    if raw.startswith("~") and raw != "~" and not raw.startswith("~/"):
        raise ValueError(f'{show(raw)}: "~" is the agent\'s HOME alone; did you mean {show("~/" + raw[1:])}?')
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f'{show(raw)}: ".." is not allowed; write where it leads')
    path = "/".join(parts)
    return f"/{path}" if raw.startswith("/") else path or "."
