"""What a run needs to end TLS, where its policy asks for that: made before the sandbox, which has to trust it.

Rule 1: everything that it will take is loaded and done once here: nothing is imported once the agent runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from trio_egress.errors import SandboxError
from trio_egress.kernel.trust import Trust, find_bundle, find_java_stores, read_certificates
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.rule import Policy

if TYPE_CHECKING:
    from trio_egress.proxy.interception import Interception

ROOTS_VARIABLE = "SSL_CERT_FILE"
"""Where the caller has roots of another place than the machine's; they count for the proxy, and for the agent."""


def open_interception(policy: Policy, run_id: str) -> Interception | None:
    """None where no rule has to see what is inside TLS. Raises SandboxError."""
    patterns = find_intercepted(policy)
    if not patterns:
        return None
    from trio_egress.proxy.authority import Authority
    from trio_egress.proxy.interception import Interception, open_client_context

    try:
        client = open_client_context()
    except OSError as error:
        raise SandboxError(f"the roots that this machine trusts can't be read: {error}") from None
    interception = Interception(Authority(patterns, datetime.now(timezone.utc), run_id), client)
    interception.rehearse()
    return interception


def find_trust(interception: Interception | None, environment: Mapping[str, str]) -> Trust | None:
    """What the agent must trust for it. Raises SandboxError."""
    if interception is None:
        return None
    authority = interception.authority
    roots = _read_roots(environment.get(ROOTS_VARIABLE, "") or find_bundle())
    stores = find_java_stores(environment.get("PATH", os.defpath))
    java = authority.render_java_store(roots).decode("utf-8", "surrogateescape") if stores else ""
    return Trust(authority.pem, authority.name_hash, roots, java, stores)


def _read_roots(path: str) -> str:
    try:
        return read_certificates(path) if path else ""
    except OSError as error:
        raise SandboxError(
            f"cannot read {path}, which says whom programs trust: {error.strerror}; mend or unset {ROOTS_VARIABLE}"
        ) from None
