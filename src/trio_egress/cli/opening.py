"""What a run says before its agent starts: which run, by which policy, what is odd about that, and whose key signs.

And what of this program is where the agent can write.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from trio_egress.cli.voice import Say
from trio_egress.errors import SandboxError
from trio_egress.evidence.sign import Signer, fingerprint
from trio_egress.kernel.mountinfo import is_in
from trio_egress.policy.files import Files
from trio_egress.policy.rule import Policy
from trio_egress.runtime.environment import find_proxy_variables
from trio_egress.runtime.own import find_own
from trio_egress.runtime.places import find_places
from trio_egress.signer.remote import RemoteKey


def announce(say: Say, policy: Policy, path: Path, key: Signer, run_id: str, *, pinned: bool) -> None:
    say(f"run {run_id}, policy {path} ({_count_rules(policy)})")
    for warning in policy.find_warnings(time.time_ns() // 1000):
        say(str(warning))
    if policy.upstream is not None:
        say(f"everything goes out by the proxy {policy.upstream.table.proxy}")
    elif unused := find_proxy_variables(os.environ):
        say(
            f"not used: {', '.join(unused)}; a proxy to go out by is for the policy to name ([upstream] proxy)"
        )
    if isinstance(key, RemoteKey):
        say(f"signed by another process, with the key {fingerprint(key.public_hex)}")
    if not pinned:
        say(
            f"signing with a key made for this run only ({fingerprint(key.public_hex)}); --key FILE signs with yours"
        )


def tell_own(say: Say, files: Files, directory: Path, home: str) -> None:
    """What of this program lies where the agent can write."""
    try:
        own = find_own(str(directory), find_places(files, str(directory), home).write)
    except SandboxError:  # the run is about to be refused for it, with a packet
        return
    for path in own.kept:
        shown = os.path.relpath(path, directory) if is_in(path, str(directory)) else path
        say(f"read-only for the agent, since trio-egress is loaded from there: {shown}")
    for path in own.reached:
        say(
            f"THE AGENT CAN CHANGE TRIO-EGRESS ITSELF: modules are loaded from {path}, which is in its reach, and what "
            "it puts there runs outside the sandbox with the next command; install trio-egress elsewhere"
        )


def _count_rules(policy: Policy) -> str:
    return "1 rule" if len(policy.rules) == 1 else f"{len(policy.rules)} rules"
