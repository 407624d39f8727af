"""What the agent's environment keeps, loses and gains."""

from __future__ import annotations

from fnmatch import fnmatchcase

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import Identities, Ids
from trio_egress.runtime.environment import (
    CONTAINERS,
    NO_CONTAINERS,
    _fits,
    agent_environment,
    find_ci,
    find_provenance,
)

USER = Ids(1000, 1000, "ann", "/home/ann")
ORDINARY = Identities(False, USER, USER)
ROOT = Identities(True, Ids(65533, 65533, "65533", ""), USER)


def seen(
    environment: dict[str, str], identities: Identities = ORDINARY, *, variables: bool = False
) -> dict[str, str]:
    return agent_environment(environment, identities, "run-1", 8888, proxy_variables=variables)


def test_inherited_proxies_are_removed_in_every_spelling() -> None:
    given = {"HTTP_PROXY": "a", "https_proxy": "b", "All_Proxy": "c", "no_proxy": "d", "PATH": "/bin"}
    assert seen(given) == {
        "PATH": "/bin",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",
        "TRIO_EGRESS_PROXY": "http://127.0.0.1:8888",
        "TRIO_EGRESS_RUN": "run-1",
        **dict.fromkeys(CONTAINERS, NO_CONTAINERS),
    }


def test_proxy_variables_are_set_only_when_asked_for() -> None:
    proxy = "http://127.0.0.1:8888"
    found = seen({"http_proxy": "http://elsewhere"}, variables=True)
    assert {found[name] for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")} == {proxy}


def test_an_ordinary_users_account_stays_and_roots_becomes_the_agents() -> None:
    given = {"HOME": "/root", "USER": "root", "LOGNAME": "root", "MAIL": "/var/mail/root"}
    assert seen(given).items() >= given.items()
    as_root = seen(given, ROOT)
    assert (as_root["HOME"], as_root["USER"], as_root["LOGNAME"]) == ("/home/ann", "ann", "ann")
    assert "MAIL" not in as_root


def test_an_agent_without_a_home_gets_the_private_tmp() -> None:
    homeless = attrs.evolve(ROOT, agent=attrs.evolve(USER, home=""))
    assert seen({}, homeless)["HOME"] == "/tmp"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "GITHUB_ENV",
            "GITHUB_OUTPUT",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "ACTIONS_RUNTIME_TOKEN",
            "SSH_AUTH_SOCK",
        ),
        *(
            "DBUS_SESSION_BUS_ADDRESS",
            "DOCKER_HOST",
            "LD_PRELOAD",
            "BASH_ENV",
            "BASH_FUNC_ls%%",
            "NODE_OPTIONS",
        ),
    ],
)
def test_an_outlet_is_closed_even_where_it_is_passed(name: str) -> None:
    assert seen({name: "x"}).get(name) != "x"
    passed = agent_environment({name: "x"}, ORDINARY, "run-1", 8888, proxy_variables=False, passed=["*"])
    assert passed.get(name) != "x"


def test_passing_names_makes_an_allow_list_and_adding_comes_last() -> None:
    given = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "LC_ALL": "C", "LANG": "C"}
    found = agent_environment(
        given,
        ORDINARY,
        "run-1",
        8888,
        proxy_variables=False,
        passed=["PATH", "LC_*"],
        added={"DOCKER_HOST": "tcp://x"},
    )
    ours = {"TRIO_EGRESS_PROXY", "TRIO_EGRESS_RUN", "GIT_DISCOVERY_ACROSS_FILESYSTEM", *CONTAINERS}
    assert set(found) == {"PATH", "LC_ALL", *ours}
    assert (found["DOCKER_HOST"], found["CONTAINER_HOST"]) == ("tcp://x", NO_CONTAINERS)


def test_the_place_of_websockets_is_told_where_there_is_one() -> None:
    def place(*endpoints: str) -> str | None:
        given = {"TRIO_EGRESS_WEBSOCKET": "ws://elsewhere"}
        found = agent_environment(given, ORDINARY, "run-1", 8888, proxy_variables=False, endpoints=endpoints)
        return found.get("TRIO_EGRESS_WEBSOCKET")

    assert place() is None
    assert place("/a?to=", "/ws?url=") == "ws://127.0.0.1:8888/a?to="


def test_provenance_tells_github_from_another_ci_and_from_a_desk() -> None:
    assert find_provenance({}) == {"provider": "local"}
    assert find_provenance({"CI": "true"}) == {"provider": "self_hosted"}
    github = find_provenance({"GITHUB_ACTIONS": "true", "GITHUB_SHA": "abc", "GITHUB_REPOSITORY": "o/r"})
    assert (github["provider"], github["sha"], github["repository"]) == ("github_actions", "abc", "o/r")
    gitlab = find_provenance(
        {"CI": "true", "GITLAB_CI": "true", "CI_COMMIT_SHA": "abc", "CI_PIPELINE_ID": "7"}
    )
    assert (gitlab["provider"], gitlab["sha"], gitlab["run_id"]) == ("self_hosted", "abc", "7")


@pytest.mark.parametrize("name", ["GITHUB_ENV", "ACTIONS_RUNTIME_TOKEN", "https_proxy", "NO_PROXY"])
def test_a_closed_name_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(SandboxError, match=rf"^\[env\] pass: {name} is never passed on"):
        agent_environment({name: "x"}, ORDINARY, "run-1", 8888, proxy_variables=False, passed=["PATH", name])


def test_a_job_is_told_by_its_variables_and_by_no_other() -> None:
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": "7",
        "GITHUB_TOKEN": "s",
        "CI_JOB_ID": "1",
        "GITHUB_SHA": "",
    }
    assert find_ci(github) == {"GITHUB_RUN_ID": "7"}
    gitlab = {
        "GITLAB_CI": "true",
        "CI_JOB_ID": "1",
        "CI_JOB_TOKEN": "s",
        "CI_SERVER_URL": "https://u:s@gitlab.example",
    }
    assert find_ci(gitlab) == {"CI_JOB_ID": "1"}
    assert (
        find_ci({**gitlab, "CI_SERVER_URL": "https://gitlab.example"})["CI_SERVER_URL"]
        == "https://gitlab.example"
    )
    assert find_ci({"CI": "true", "CI_JOB_ID": "1"}) == {}


@given(st.text("ab*?[]!"), st.text("ab*?[]!"))
@example("ab", "a*")
@example("", "*")
@example("a", "**")
def test_a_pattern_fits_as_in_a_shell(name: str, pattern: str) -> None:
    assert _fits(name, pattern) == fnmatchcase(name, pattern)
