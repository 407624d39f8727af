"""The environment that the agent sees, worked out from the caller's. Pure: a mapping in, a mapping out.

Rule 1: what would let the agent speak to a later step of its job, to another service, or into a program's start is
closed, whatever else is passed; only `[env] set` can name such a variable again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import Identities

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "ws_proxy", "wss_proxy", "no_proxy")
PROXY_ADDRESS = "TRIO_EGRESS_PROXY"
WEBSOCKET_ADDRESS = "TRIO_EGRESS_WEBSOCKET"
"""With an address behind it: where a program asks for a WebSocket that can't ask for it by itself."""

RUN_ID = "TRIO_EGRESS_RUN"
CONTAINERS = ("DOCKER_HOST", "CONTAINER_HOST")
NO_CONTAINERS = "unix:///run/trio-egress/docker-does-not-work-in-here-what-it-starts-would-leave-the-sandbox"
"""A client of docker or podman names the place where it looked, and so says why, at once. There is nothing there."""

ACROSS_MOUNTS = "GIT_DISCOVERY_ACROSS_FILESYSTEM"
"""git looks for a repository above the working directory, which is a mount of its own here, only if told to."""

HOMELESS = "/tmp"  # noqa: S108  a directory of the run's own

STEP_FILES = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
"""Each names a file by which a step speaks to later ones."""

CLOSED = (
    # Files through which a step speaks to the next ones, and tokens of the job itself (GitHub, GitLab).
    *STEP_FILES,
    *("ACTIONS_*", "RUNNER_TOKEN", "CI_JOB_TOKEN", "CI_JOB_JWT*", "CI_REGISTRY_PASSWORD"),
    # Services of the host that act for whoever reaches them.
    *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "DBUS_*", "DOCKER_HOST", "CONTAINER_HOST"),
    *("XDG_RUNTIME_DIR", "WAYLAND_DISPLAY", "DISPLAY", "XAUTHORITY", "NOTIFY_SOCKET", "LISTEN_*", "SUDO_*"),
    # Code that a loader, shell or interpreter would run before the program that was asked for.
    *("LD_PRELOAD", "LD_AUDIT", "GCONV_PATH", "BASH_ENV", "ENV", "PROMPT_COMMAND", "BASH_FUNC_*"),
    *(
        "PYTHONSTARTUP",
        "PYTHONINSPECT",
        "PERL5OPT",
        "PERL5DB",
        "RUBYOPT",
        "NODE_OPTIONS",
        "JAVA_TOOL_OPTIONS",
    ),
    "_JAVA_OPTIONS",
    # What would write TLS keys where somebody reads them.
    "SSLKEYLOGFILE",
)
"""Patterns of names, compared with their case."""

_WILD = frozenset("*?[")

GITLAB_PROVENANCE = {
    "repository": "CI_PROJECT_PATH",
    "workflow": "CI_JOB_NAME",
    "run_id": "CI_PIPELINE_ID",
    "ref": "CI_COMMIT_REF_NAME",
    "sha": "CI_COMMIT_SHA",
}
"""What the members of Audit Packet v0 are called by GitLab."""

CI_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "GITHUB_ACTIONS": (
        *("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REPOSITORY_ID", "GITHUB_REF", "GITHUB_SHA"),
        *("GITHUB_WORKFLOW", "GITHUB_WORKFLOW_REF", "GITHUB_WORKFLOW_SHA", "GITHUB_JOB", "GITHUB_EVENT_NAME"),
        *("GITHUB_RUN_ID", "GITHUB_RUN_NUMBER", "GITHUB_RUN_ATTEMPT", "GITHUB_ACTOR", "GITHUB_ACTOR_ID"),
        *("GITHUB_TRIGGERING_ACTOR", "RUNNER_ENVIRONMENT", "ImageOS", "ImageVersion"),
    ),
    "GITLAB_CI": (
        *("CI_SERVER_URL", "CI_PROJECT_PATH", "CI_PROJECT_ID", "CI_COMMIT_REF_NAME", "CI_COMMIT_SHA"),
        *(
            "CI_CONFIG_PATH",
            "CI_PIPELINE_ID",
            "CI_PIPELINE_SOURCE",
            "CI_JOB_ID",
            "CI_JOB_NAME",
            "CI_JOB_STAGE",
        ),
        *("CI_RUNNER_ID", "GITLAB_USER_ID", "GITLAB_USER_LOGIN"),
    ),
}
"""By the variable that says `true` where the CI is: what tells a job from all others. None of them is a secret."""


def agent_environment(
    environment: Mapping[str, str],
    identities: Identities,
    run_id: str,
    proxy_port: int,
    *,
    proxy_variables: bool,
    endpoints: Sequence[str] = (),
    passed: Sequence[str] | None = None,
    added: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The caller's environment without what is CLOSED and without its proxies, with ours in TRIO_EGRESS_PROXY.

    `passed` makes an allow-list of it: patterns of the only names that get in. `added` comes last and may say anything.
    `endpoints`: of the policy, for WebSockets; the first is told in TRIO_EGRESS_WEBSOCKET.
    `proxy_variables` also sets the usual variables; nothing needs them, because TCP is redirected anyway. As root the
    account's variables become those of the agent's user. Raises SandboxError when `passed` names what is never passed.
    """
    _refuse_closed(passed or ())
    proxy = f"http://127.0.0.1:{proxy_port}"
    result = {k: v for k, v in environment.items() if _passes(k, passed)}
    result[PROXY_ADDRESS] = proxy
    result.pop(WEBSOCKET_ADDRESS, None)
    if endpoints:
        result[WEBSOCKET_ADDRESS] = f"ws://127.0.0.1:{proxy_port}{endpoints[0]}"
    result[RUN_ID] = run_id
    result.setdefault(ACROSS_MOUNTS, "1")
    result |= dict.fromkeys(CONTAINERS, NO_CONTAINERS)
    if proxy_variables:
        for name in ("http_proxy", "https_proxy"):
            result[name] = result[name.upper()] = proxy
        result["no_proxy"] = result["NO_PROXY"] = "localhost,127.0.0.0/8,::1"
    if identities.root:
        agent = identities.agent
        result |= {"HOME": agent.home or HOMELESS, "USER": agent.name, "LOGNAME": agent.name}
        result.pop("MAIL", None)
    return result | dict(added or {})


def find_proxy_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names of those by which the caller's own programs would go out by a proxy."""
    asked = [name for name in PROXY_VARIABLES if name in ("http_proxy", "https_proxy", "all_proxy")]
    return tuple(sorted(name for name, value in environment.items() if value and name.lower() in asked))


def _refuse_closed(passed: Sequence[str]) -> None:
    """A pattern may match what is closed, as `*` does; a name means it, and would be disappointed."""
    for name in passed:
        if "*" not in name and "?" not in name and not _passes(name, None):
            raise SandboxError(
                f"[env] pass: {name} is never passed on (docs/policy.md says why); what the agent may have of it, "
                "[env] set can give it"
            )


def _passes(name: str, passed: Sequence[str] | None) -> bool:
    if name.lower() in PROXY_VARIABLES or _matches(name, CLOSED):
        return False
    return passed is None or _matches(name, passed)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(_fits(name, pattern) for pattern in patterns)


def _fits(name: str, pattern: str) -> bool:
    """As `fnmatchcase`, which makes a regex of each pattern first; most are a name, or the start of one."""
    start = pattern.removesuffix("*")
    if not _WILD.isdisjoint(start):
        return fnmatchcase(name, pattern)
    return name == pattern if start == pattern else name.startswith(start)


def find_provenance(environment: Mapping[str, str]) -> dict[str, str]:
    """Where a run takes place, in members of Audit Packet v0: GitHub Actions, another CI (self_hosted), or
    local. What is empty is left out of the packet."""
    if environment.get("GITHUB_ACTIONS") == "true":
        names = ("repository", "workflow", "run_id", "run_attempt", "ref", "sha")
        found = {name: environment.get(f"GITHUB_{name.upper()}", "") for name in names}
        return {"provider": "github_actions", **found}
    if environment.get("GITLAB_CI") == "true":  # of which the format knows only that it is none of GitHub's
        found = {name: environment.get(variable, "") for name, variable in GITLAB_PROVENANCE.items()}
        return {"provider": "self_hosted", **found}
    return {"provider": "self_hosted" if environment.get("CI") else "local"}


def find_ci(environment: Mapping[str, str]) -> dict[str, str]:
    """Which job of which CI this is, by the variables that the CI sets; nothing elsewhere. A URL has no userinfo."""
    return {
        name: environment[name]
        for mark, names in CI_IDENTITY.items()
        if environment.get(mark) == "true"
        for name in names
        if environment.get(name) and not (name.endswith("_URL") and "@" in environment[name])
    }
