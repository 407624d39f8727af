"""What each part of the judgement denies, in words for whoever has never read a receipt."""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.model import Layer
from trio_egress.values import frozen


@frozen
class Meaning:
    """`short` is a phrase; `help` says in a sentence or two what was denied, and what to do if it should not be."""

    short: str
    help: str


_ASK = "`trio-egress policy explain --suggest` prints the smallest rule that would allow it."

MEANINGS: Mapping[Layer, Meaning] = {
    Layer.RULE: Meaning("A rule decided", "A rule of the policy names this destination."),
    Layer.DEFAULT_DENY: Meaning(
        "No rule allows it",
        f"Nothing in the policy allows this destination, and what no rule allows is denied. {_ASK}",
    ),
    Layer.DENY_RULE: Meaning(
        "A rule denies it",
        "A rule with `deny = true` names this destination. Such a rule goes before every other.",
    ),
    Layer.METHOD: Meaning(
        "The rule does not allow the method",
        f"The destination is allowed, and the request's method is not in `methods` of its rule. {_ASK}",
    ),
    Layer.PATH: Meaning(
        "The rule does not allow the path",
        f"The destination is allowed, and the request's path matches none of `paths` of its rule. {_ASK}",
    ),
    Layer.QUERY: Meaning(
        "The rule does not allow a query parameter",
        "The request has a parameter that `query` of its rule does not name. Receipts tell names, never values.",
    ),
    Layer.HEADER: Meaning(
        "The rule does not allow a header field",
        "The request has a field that `headers` of its rule refuses, or lacks one that it requires.",
    ),
    Layer.OPERATION: Meaning(
        "The rule does not allow the operation",
        "The request asks for an operation (of git, GraphQL, JSON-RPC or MCP) that its rule does not allow.",
    ),
    Layer.TIME: Meaning(
        "The rule does not hold now", "The attempt was made outside the `times` of its rule."
    ),
    Layer.INTERCEPTION: Meaning(
        "The rule asks for what the boundary cannot do",
        "The rule needs to see what this boundary could not look at, so nothing was let through.",
    ),
    Layer.CERTIFICATE: Meaning(
        "The upstream is not who it says",
        "The certificate that the upstream showed is not one that this machine trusts for the host, so the request was "
        "not sent. `SSL_CERT_FILE` adds the roots of a company.",
    ),
    Layer.HOST_KEY: Meaning(
        "The SSH server is not who it says",
        "The host key that the server showed is none of `host_keys` of its rule, or it came in a way that proves "
        "nothing. The connection ended before the agent had the key. Somebody on the way looks like this, "
        "and so does a server with a new key.",
    ),
    Layer.PROTOCOL: Meaning(
        "The rule does not allow the protocol",
        "What was spoken is not what the rule, or the door that it came by, is for.",
    ),
    Layer.ADDRESS: Meaning(
        "The address is not an outside one",
        "The name led to a private, local or otherwise reserved address. Where that is meant, a rule says "
        "`allow_private`.",
    ),
    Layer.NAME_MISMATCH: Meaning(
        "The names do not agree",
        "What was connected to and what was asked for there (SNI, Host) are different names.",
    ),
    Layer.MALFORMED: Meaning(
        "It could not be read as what it should be",
        "The bytes are not the protocol that they pretend to be, so nothing could be judged.",
    ),
    Layer.LIMIT: Meaning(
        "The rule's limits are used up",
        "The rule allows this destination up to its `limits`, and those were reached.",
    ),
    Layer.KERNEL: Meaning(
        "The kernel refused it",
        "It was tried by a way that has no judge, and so is closed to everybody inside: another protocol than TCP, DNS "
        "that went astray, or a system call that leads out of the sandbox.",
    ),
    Layer.SECRET: Meaning(
        "A secret was asked for that does not go there",
        "The placeholder of a secret stood in a request to another destination than `to` of its `[[secret]]` names, in "
        "another place than `as` names, or in one that would go out in the clear. Nothing was sent. An agent that was "
        "told to send a credential away looks like this.",
    ),
    Layer.SCAN: Meaning(
        "Something was found in it",
        "Its rule allows the destination, and a detector found something that must not go there, or not come back: "
        "a credential, or text that is made to be obeyed. It is told by a commitment, never by its text. A credential "
        "that was about to leave is to be replaced; what is none can be suppressed in the policy.",
    ),
    Layer.APPROVAL: Meaning(
        "Nobody approved it",
        "The policy allows it once somebody who is asked agrees, and that one said no, said nothing in time, or was "
        "not there. Its receipt says who was asked and what came of it.",
    ),
    Layer.OBSERVE: Meaning(
        "The policy would have denied it",
        "The run only observed, and let through what its policy denies. Nothing was enforced.",
    ),
}

UNKNOWN = "unknown"
"""For a layer that this release does not know."""

_WORDS = {layer.value: meaning for layer, meaning in MEANINGS.items()}
_UNKNOWN = Meaning("It was denied", "The receipt names no part of the judgement that this release knows.")


def name_layer(layer: str) -> str:
    """A receipt's `layer`, or UNKNOWN: whatever stands there, it is one of a few words."""
    return layer if layer in _WORDS else UNKNOWN


def explain_layer(layer: str) -> Meaning:
    return _WORDS.get(layer, _UNKNOWN)
