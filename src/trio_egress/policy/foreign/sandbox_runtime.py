"""The settings of Anthropic's sandbox runtime (srt-settings.json): domains and files.

A wildcard there means the names below a domain, as here; a domain without a port means any port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trio_egress.policy.files import read_hide, read_protect, read_write
from trio_egress.policy.foreign.draft import Draft, expect_table, expect_texts, is_set
from trio_egress.texts.faults import Faults

_NETWORK = ("allowedDomains", "deniedDomains", "allowUnixSockets", "allowAllUnixSockets", "allowLocalBinding")
_PORT = re.compile(r"(?:^[^:\[]*|\]):[0-9]+$")
_FILES = ("allowWrite", "denyWrite", "denyRead", "allowRead")


def read(document: Mapping[str, Any]) -> Draft:
    draft = Draft()
    network = expect_table(document.get("network"), "network")
    for domain in expect_texts(network.get("allowedDomains"), "network.allowedDomains"):
        _add(draft, domain, "network.allowedDomains")
    for domain in expect_texts(network.get("deniedDomains"), "network.deniedDomains"):
        if domain == "*":
            continue  # what no rule allows is denied anyway
        _add(draft, domain, "network.deniedDomains", deny=True, reason="denied by srt's deniedDomains")
    if expect_texts(network.get("allowUnixSockets"), "network.allowUnixSockets"):
        draft.note("network.allowUnixSockets: no Unix socket of this machine can be opened to the agent")
    if is_set(network.get("allowAllUnixSockets")):
        draft.note("network.allowAllUnixSockets: the agent may use its own Unix sockets, never the machine's")
    draft.note_unknown(network, _NETWORK, "network.")
    _read_files(draft, expect_table(document.get("filesystem"), "filesystem"))
    draft.note_unknown(document, ("network", "filesystem"))
    return draft


def _add(draft: Draft, domain: str, place: str, **terms: Any) -> None:
    if not _PORT.search(domain):
        draft.note("a domain without a port: srt means any port; here HTTP on 80 and 443, and TLS on 443")
    draft.add(domain, place, **terms)


def _read_files(draft: Draft, files: Mapping[str, Any]) -> None:
    """`denyRead` hides, `denyWrite` protects; the working directory is writable without being named."""
    lists = {
        "allowWrite": (draft.write, read_write),
        "denyRead": (draft.hide, read_hide),
        "denyWrite": (draft.protect, read_protect),
    }
    for key, (places, read_paths) in lists.items():
        for path in expect_texts(files.get(key), f"filesystem.{key}"):
            if path in (".", "./") and key == "allowWrite":
                continue
            try:
                read_paths([path])
            except ValueError as error:  # Faults, whose texts say what is wrong with the one path
                reasons = (
                    [fault.message for fault in error.faults] if isinstance(error, Faults) else [str(error)]
                )
                draft.note(f"filesystem.{key}: {'; '.join(reasons)}")
            else:
                places.append(path)
    if files.get("allowRead"):
        draft.note("filesystem.allowRead: nothing below a hidden path can be shown again")
    draft.note_unknown(files, _FILES, "filesystem.")
