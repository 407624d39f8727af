"""The environment that the agent sees, worked out from the caller's. Pure: a mapping in, a mapping out."""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.kernel.identity import Identities

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "ws_proxy", "wss_proxy", "no_proxy")
PROXY_ADDRESS = "TRIO_EGRESS_PROXY"
RUN_ID = "TRIO_EGRESS_RUN"
HOMELESS = "/tmp"  # noqa: S108  a directory of the run's own


def agent_environment(
    environment: Mapping[str, str],
    identities: Identities,
    run_id: str,
    proxy_port: int,
    *,
    proxy_variables: bool,
) -> dict[str, str]:
    """The caller's environment without its proxies, with ours named in TRIO_EGRESS_PROXY.

    `proxy_variables` also sets the usual variables; nothing needs them, because TCP is redirected anyway. As root the
    account's variables become those of the agent's user.
    """
    proxy = f"http://127.0.0.1:{proxy_port}"
    result = {k: v for k, v in environment.items() if k.lower() not in PROXY_VARIABLES}
    result[PROXY_ADDRESS] = proxy
    result[RUN_ID] = run_id
    if proxy_variables:
        for name in ("http_proxy", "https_proxy"):
            result[name] = result[name.upper()] = proxy
        result["no_proxy"] = result["NO_PROXY"] = "localhost,127.0.0.0/8,::1"
    if identities.root:
        agent = identities.agent
        result |= {"HOME": agent.home or HOMELESS, "USER": agent.name, "LOGNAME": agent.name}
        result.pop("MAIL", None)
    return result


def find_provenance(environment: Mapping[str, str]) -> dict[str, str]:
    """Where a run takes place, in members of Audit Packet v0: GitHub Actions, another CI (self_hosted), or local."""
    if environment.get("GITHUB_ACTIONS") == "true":
        names = ("repository", "workflow", "run_id", "run_attempt", "ref", "sha")
        found = {name: environment.get(f"GITHUB_{name.upper()}", "") for name in names}
        return {"provider": "github_actions", **found}
    return {"provider": "self_hosted" if environment.get("CI") else "local"}
