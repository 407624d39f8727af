"""A real browser without a window, driven by its own protocol over a pipe: Chromium, and nothing in between.

Keeps what happens behind a page's back: requests, console, log, exceptions, and what the page's policy had to stop.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]
_SEEN = {
    "Network.requestWillBeSent": "requests",
    "Runtime.consoleAPICalled": "console",
    "Runtime.exceptionThrown": "exceptions",
    "Log.entryAdded": "log",
    "Network.loadingFailed": "failures",
    "Audits.issueAdded": "issues",
    "Page.javascriptDialogOpening": "dialogs",
}


class Tab:
    """One page at a time. `seen`: by kind, what happened since it was opened."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._loaded = False
        self.seen: dict[str, list[Mapping[str, Any]]] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log", "Audits"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, page: Path, width: int = 1280, scheme: str = "light") -> None:
        """Show a file, as wide as that, in that colour scheme, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.seen, self._loaded = {}, False
        self.call("Page.navigate", url=page.as_uri())
        while not self._loaded:
            self._receive()
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def ask(self, expression: str) -> Any:
        """What the browser says; by the debugger, which no policy of the page holds back."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    @property
    def behind(self) -> dict[str, list[Mapping[str, Any]]]:
        """Everything seen but the request for the page itself."""
        seen = {kind: list(events) for kind, events in self.seen.items()}
        seen["requests"] = [one for one in seen.get("requests", ()) if one["type"] != "Document"]
        return {kind: events for kind, events in seen.items() if events}

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            raw = os.read(self._reader, 1 << 20)
            assert raw, "the browser has ended"
            self._buffer += raw
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        method = message.get("method", "")
        self._loaded = self._loaded or method == "Page.loadEventFired"
        if method in _SEEN:
            self.seen.setdefault(_SEEN[method], []).append(message["params"])
        if method == "Page.javascriptDialogOpening":
            self._number += 1
            closing = {
                "id": self._number,
                "method": "Page.handleJavaScriptDialog",
                "params": {"accept": False},
            }
            os.write(self._writer, json.dumps({**closing, "sessionId": self._session}).encode() + b"\0")
        return message


@contextmanager
def open_browser() -> Iterator[Tab]:
    """A browser with a profile of its own, which ends with the body."""
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()
    with tempfile.TemporaryDirectory(prefix="trio-egress-browser-", ignore_cleanup_errors=True) as profile:
        # The protocol speaks through descriptors 3 and 4.
        words = [*COMMAND, f"--user-data-dir={profile}", "about:blank"]
        line = f'exec "$@" 3<&{from_us} 4>&{to_us}'
        process = subprocess.Popen(
            ["/bin/bash", "-c", line, "browser", *words],
            pass_fds=(from_us, to_us),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
        )
        os.close(from_us)
        os.close(to_us)
        try:
            yield Tab(from_browser, to_browser)
        finally:
            os.close(to_browser)
            process.wait()
            os.close(from_browser)
