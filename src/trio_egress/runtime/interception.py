"""What a run needs to end TLS, where its policy asks for that: made before the sandbox, which has to trust it.

Rule 1: everything that it will take is loaded and done once here: nothing is imported once the agent runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from trio_egress.errors import SandboxError
from trio_egress.kernel.trust import Trust, find_bundle, find_java_stores
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.rule import Policy

if TYPE_CHECKING:
    from trio_egress.proxy.authority import Authority
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
    authority = Authority(patterns, datetime.now(timezone.utc), run_id)
    authority.rehearse()
    return Interception(authority, client)


def find_trust(interception: Interception | None, environment: Mapping[str, str]) -> Trust | None:
    """What the agent must trust for it."""
    if interception is None:
        return None
    authority = interception.authority
    given = environment.get(ROOTS_VARIABLE, "")
    roots = given if os.path.isfile(given) else find_bundle()
    stores = find_java_stores(environment.get("PATH", os.defpath))
    return Trust(
        authority.pem, authority.name_hash, roots, _make_java_store(roots, authority, stores), stores
    )


def _make_java_store(roots: str, authority: Authority, stores: tuple[str, ...]) -> str:
    if not stores:
        return ""
    raw = authority.render_java_store(Path(roots).read_bytes() if roots else b"")
    return raw.decode("utf-8", "surrogateescape")
