"""Every member of a receipt, in canonical order: the tables by which receipts are written and read.

Data alone. Knows one receipt at a time: nothing of keys, hashes, or the receipts around it.

Rule 1: the order of a table is the canonical order of its members (it is not alphabetical).
Rule 2: an OPTIONAL member is left out when it is empty or zero; the others always stand.
"""

from __future__ import annotations

import re

from trio_egress.evidence.members import (
    BOOLEAN,
    TEXT,
    TEXTS,
    UINT64,
    Shape,
    Table,
    filled,
    is_texts,
    is_uint64,
    matching,
    object_of,
    one_of,
    optional,
    present,
)

ACTION_TYPES = frozenset(
    {"read", "derive", "write", "delegate", "authorize", "spend", "commit", "actuate", "unclassified"}
)
SIDE_EFFECTS = frozenset({"none", "external_read", "external_write", "financial", "physical"})
REVERSIBILITIES = frozenset({"full", "compensatable", "irreversible", "unknown"})
VERDICTS = ("allow", "block", "warn", "ask", "strip", "forward", "redirect")
PHASES = frozenset({"intent", "outcome"})
SESSION_TRANSPORT = "receipt_session"
TRANSPORTS = frozenset(
    {
        *(
            "fetch",
            "forward",
            "connect",
            "intercept",
            "websocket",
            "reverse",
            "mcp_stdio",
            "mcp_http_upstream",
        ),
        *("mcp_http_listener", "mcp_ws", SESSION_TRANSPORT),
        *("transparent", "dns", "packet", "policy", "key", "command", "syscall", "ssh"),
    }
)
ACTION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HEX_64 = re.compile(r"[0-9a-f]{64}")
COMMITMENT = re.compile(r"\[([A-Za-z0-9][A-Za-z0-9._-]{0,63}):([0-9a-f]{32})\]")
"""What stands for a secret: half of an HMAC-SHA256, which is as much as RFC 2104 5 advises to keep."""

_TEXTS_OR_NULL = Shape("a list of text, or null", lambda value: value is None or is_texts(value))
ONE = Shape("the integer 1", lambda value: type(value) is int and value == 1, pattern="1")
_COUNTS = Shape(
    "an object of counts, sorted by name",
    lambda value: (
        type(value) is dict and list(value) == sorted(value) and all(map(is_uint64, value.values()))
    ),
)
_ABSENT = Shape("nothing: this verifier does not know its form", lambda value: False)


REDACTION = Table(
    (
        *optional(TEXT, "profile", "provider", "parser"),
        *optional(UINT64, "total_redactions"),
        *optional(_COUNTS, "by_class"),
        *optional(BOOLEAN, "cache_boundary_kept"),
    )
)
KEY_TRANSITION = Table(
    (
        *present(TEXT, "prior_signer_key"),
        *present(UINT64, "prior_chain_seq"),
        *present(TEXT, "prior_chain_hash"),
    )
)
# `chain_open_seq` and `prior_*` stand before `genesis_hash`: checked against an independent verifier, which
# refuses the signature in any other order.
SESSION_OPEN = Table(
    (
        *filled(TEXT, "run_nonce", "open_nonce"),
        *present(TEXT, "recorder_session", "policy_hash", "signer_key_epoch"),
        *present(UINT64, "heartbeat_seconds", "chain_open_seq"),
        *optional(TEXT, "prior_chain_head"),
        *optional(UINT64, "prior_chain_seq"),
        *filled(TEXT, "genesis_hash"),
        *optional(TEXT, "genesis_anchor_head", "genesis_anchor_log", "posture_capsule_sha256"),
        *optional(TEXT, "posture_signer_key_id", "containment_nonce", "contained_uid"),
    )
)
HEARTBEAT = Table(
    (
        *filled(TEXT, "run_nonce", "open_nonce"),
        *present(UINT64, "beat"),
        *filled(TEXT, "chain_head"),
        *present(UINT64, "chain_seq_head"),
        *filled(TEXT, "heartbeat_time"),
        *present(UINT64, "fsync_errors_gated", "durability_blocks"),
    )
)
SESSION_CLOSE = Table(
    (
        *filled(TEXT, "run_nonce", "open_nonce"),
        *present(UINT64, "final_seq"),
        *filled(TEXT, "root_hash"),
        *present(UINT64, "receipt_count"),
        *present(TEXT, "close_reason"),
        *present(UINT64, "fsync_errors_gated", "durability_blocks"),
    )
)
SESSION_CONTROL = Table(
    (
        *filled(one_of(frozenset({"session_open", "heartbeat", "session_close"})), "kind"),
        *optional(object_of(SESSION_OPEN), "open"),
        *optional(object_of(HEARTBEAT), "heartbeat"),
        *optional(object_of(SESSION_CLOSE), "close"),
    )
)
RECORD = Table(
    (
        *present(ONE, "version"),
        *filled(matching(ACTION_ID, "a UUID of version 7, lower case"), "action_id"),
        *optional(TEXT, "parent_action_id"),
        *filled(one_of(ACTION_TYPES), "action_type"),
        *filled(TEXT, "timestamp"),
        *present(TEXT, "principal", "actor"),
        *present(_TEXTS_OR_NULL, "delegation_chain"),
        *filled(TEXT, "target"),
        *optional(TEXT, "intent"),
        *optional(TEXTS, "data_classes_in", "data_classes_out"),
        *present(one_of(SIDE_EFFECTS), "side_effect_class"),
        *present(one_of(REVERSIBILITIES), "reversibility"),
        *present(TEXT, "policy_hash"),
        *filled(one_of(VERDICTS), "verdict"),
        *optional(one_of(PHASES), "decision_phase"),
        *optional(
            TEXT, "defer_id", "resolution_policy", "resolution_source", "session_id", "session_id_original"
        ),
        *optional(TEXT, "session_taint_level"),
        *optional(BOOLEAN, "session_contaminated"),
        *optional(_ABSENT, "recent_taint_sources"),
        *optional(TEXT, "session_task_id", "session_task_label", "authority_kind"),
        *optional(TEXT, "taint_decision", "taint_decision_reason"),
        *optional(BOOLEAN, "task_override_applied"),
        *optional(TEXT, "contract_winning_source", "contract_live_verdict"),
        *optional(TEXTS, "contract_policy_sources"),
        *optional(TEXT, "contract_rule_id", "active_manifest_hash", "contract_hash", "contract_selector_id"),
        *optional(UINT64, "contract_generation"),
        *filled(one_of(TRANSPORTS), "transport"),
        *optional(TEXT, "method", "layer", "pattern", "severity"),
        *optional(object_of(REDACTION), "redaction"),
        *optional(_ABSENT, "shield"),
        *optional(TEXT, "request_id"),
        *filled(TEXT, "chain_prev_hash"),
        *present(UINT64, "chain_seq"),
        *optional(TEXT, "run_nonce"),
        *optional(object_of(KEY_TRANSITION), "key_transition"),
        *optional(object_of(SESSION_CONTROL), "session_control"),
        *optional(TEXT, "venue", "jurisdiction", "rulebook_id", "remedy_class", "contestation_window"),
        *optional(TEXTS, "precedent_refs"),
    )
)
