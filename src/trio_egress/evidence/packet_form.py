"""The form of packet.json (Audit Packet v0) as tables, and the facts that a run gives for it.

`audit_packet_v0.schema.json` beside this file says the same as a JSON Schema; a test holds the two together.

Rule 1: nothing beyond the tables may stand in a packet, at any depth.
Rule 2: v0 also knows `receipts` and `scanner_config_snapshot`. We write neither and refuse both: a copy of
receipts that nobody checks could say anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from trio_egress.evidence.members import (
    BOOLEAN,
    TEXT,
    UINT64,
    Shape,
    Table,
    filled,
    free,
    is_texts,
    is_uint64,
    matching,
    object_of,
    one_of,
    present,
)
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.evidence.receipt_form import HEX_64, VERDICTS
from trio_egress.values import frozen

PACKET_NAME = "packet.json"
SUMMARY_NAME = "summary.md"
VERIFIER_NAME = "verifier.txt"
SCHEMA_VERSION = "pipelock.audit_packet.v0"
TOTALS = (*VERDICTS, "other")

POSTURE_WORDS: Mapping[str, frozenset[str]] = {
    "raw_socket_status": frozenset({"denied", "allowed", "unknown"}),
    "docker_socket_status": frozenset({"denied", "masked", "allowed", "absent", "unknown"}),
    "dns_udp_status": frozenset({"denied", "proxied", "allowed", "unknown"}),
    "browser_proxy_status": frozenset({"forced", "advisory", "absent", "unknown"}),
    "websocket_frame_scanning": frozenset({"explicit_ws_proxy_path_required", "always_on", "off"}),
}
PROVIDERS = frozenset({"github_actions", "self_hosted", "local"})
VERIFIER_VERDICTS = frozenset({"valid", "invalid", "error", "not_run", "self_consistent_only"})


def is_inside(path: str) -> bool:
    """Whether `path` is relative and leads nowhere out of the packet, on any system."""
    parts = path.split("/")
    return path.isprintable() and not set(path) & set("\\:") and not {"", ".", ".."} & set(parts)


_INTEGER = Shape("an integer", lambda value: type(value) is int)
_TIME = Shape(
    "a time of the form that receipts have",
    lambda value: type(value) is str and parse_timestamp(value) is not None,
)
_SORTED = Shape(
    "a sorted list of different texts",
    lambda value: isinstance(value, list) and is_texts(value) and value == sorted(set(value)),
)
_LIST = Shape("a list of text", is_texts)
_COUNTS = Shape(
    "an object of counts", lambda value: type(value) is dict and all(map(is_uint64, value.values()))
)
_SHA256 = matching(re.compile(r"sha256:[0-9a-f]{64}"), "sha256: and 64 lower-case hex digits")
_HEX = matching(HEX_64, "64 lower-case hex digits")
_PATH = Shape("a relative path inside the packet", lambda value: type(value) is str and is_inside(value))
_VERSION = Shape(SCHEMA_VERSION, lambda value: value == SCHEMA_VERSION)

RUN = Table(
    (
        *filled(one_of(PROVIDERS), "provider"),
        *present(TEXT, "agent_identity"),
        *filled(_TIME, "started_at"),
        *free(TEXT, "repository", "workflow", "run_id", "run_attempt", "ref", "sha"),
        *free(_TIME, "completed_at"),
        *free(_INTEGER, "agent_exit_code"),
    ),
    ordered=False,
)
POLICY = Table(
    (
        *present(_SORTED, "policy_hashes"),
        *free(TEXT, "config_path", "runtime_config_path"),
        *free(_SHA256, "config_snapshot_sha256"),
    ),
    ordered=False,
)
SUMMARY = Table(
    (
        *present(UINT64, "receipt_count"),
        *filled(object_of(Table(present(UINT64, *TOTALS), ordered=False)), "totals"),
        *free(_COUNTS, "transports", "layers"),
        *free(_SORTED, "domains_touched"),
    ),
    ordered=False,
)
VERIFIER = Table(
    (
        *filled(one_of(VERIFIER_VERDICTS), "verdict"),
        *present(BOOLEAN, "trusted"),
        *free(UINT64, "receipt_count", "final_seq"),
        *free(_HEX, "root_hash", "signer_key"),
        *free(_PATH, "output_file"),
        *free(TEXT, "error"),
    ),
    ordered=False,
)
POSTURE = Table(
    (
        *filled(TEXT, "enforcement_mode", "runner_os"),
        *(member for name, words in POSTURE_WORDS.items() for member in filled(one_of(words), name)),
        *present(_LIST, "unsupported_paths"),
        *free(TEXT, "runner_arch", "network_namespace", "agent_user", "host_user", "host_ip", "agent_ip"),
        *free(TEXT, "proxy_url", "script_basename"),
        *free(UINT64, "agent_uid", "host_uid", "script_arg_count"),
    ),
    ordered=False,
)
ARTIFACTS = Table((*filled(_PATH, "packet", "evidence", "verifier"), *free(_PATH, "summary")), ordered=False)
PACKET = Table(
    (
        *filled(_VERSION, "schema_version"),
        *filled(_TIME, "generated_at"),
        *filled(object_of(RUN), "run"),
        *filled(object_of(POLICY), "policy"),
        *filled(object_of(SUMMARY), "summary"),
        *filled(object_of(VERIFIER), "verifier"),
        *filled(object_of(POSTURE), "posture"),
        *filled(object_of(ARTIFACTS), "artifacts"),
        *free(TEXT, "packet_id"),
    ),
    ordered=False,
)


def _one_of_posture(name: str) -> str:
    """A member of `Posture` with the words that the format has for it."""
    field: str = attrs.field(validator=attrs.validators.in_(POSTURE_WORDS[name]))
    return field


@frozen
class Posture:
    """What was enforced, as far as it was measured; `unknown` is no claim. Empty texts and None are left out."""

    enforcement_mode: str = attrs.field(validator=attrs.validators.min_len(1))
    runner_os: str = attrs.field(validator=attrs.validators.min_len(1))
    raw_socket_status: str = _one_of_posture("raw_socket_status")
    docker_socket_status: str = _one_of_posture("docker_socket_status")
    dns_udp_status: str = _one_of_posture("dns_udp_status")
    browser_proxy_status: str = _one_of_posture("browser_proxy_status")
    websocket_frame_scanning: str = _one_of_posture("websocket_frame_scanning")
    unsupported_paths: tuple[str, ...] = ()
    runner_arch: str = ""
    network_namespace: str = ""
    agent_user: str = ""
    agent_uid: int | None = None
    host_user: str = ""
    host_uid: int | None = None
    host_ip: str = ""
    agent_ip: str = ""
    proxy_url: str = ""
    script_basename: str = ""
    script_arg_count: int | None = None


@frozen
class RunFacts:
    """Where and when the agent ran. Times are Unix nanoseconds; empty texts and None are left out."""

    provider: str = attrs.field(validator=attrs.validators.in_(PROVIDERS))
    agent_identity: str
    started_ns: int
    completed_ns: int | None = None
    agent_exit_code: int | None = None
    repository: str = ""
    workflow: str = ""
    run_id: str = ""
    run_attempt: str = ""
    ref: str = ""
    sha: str = ""
