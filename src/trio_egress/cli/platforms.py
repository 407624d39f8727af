"""Where the sandbox can't be had, and why. Nothing of the runtime is imported to say it: there it could not be."""

from __future__ import annotations

SANDBOXED = ("run", "learn", "mcp", "demo", "signer", "recover", "serve")
"""The commands that need a sandbox (`learn` unless it learns from packets), serve one, or clear up after one.

All others work everywhere.
"""

_LACKS = {
    "darwin": "macOS has no namespaces, and its own sandbox can't tell where a name leads",
    "win32": "Windows has no namespaces, and no unprivileged packet filter",
    "cygwin": "Windows has no namespaces, and no unprivileged packet filter",
}


def explain_absence(platform: str) -> str:
    """Why there is no sandbox on this `sys.platform`; empty on Linux."""
    if platform == "linux":
        return ""
    return (
        "the sandbox is built from Linux's namespaces, nftables, seccomp and Landlock, and this is "
        f"{platform}: {_LACKS.get(platform, 'it has none of them')}. Nothing is run, and nothing weaker takes its "
        "place. Run it on Linux, in a virtual machine if need be; `trio-egress verify` works everywhere"
    )
