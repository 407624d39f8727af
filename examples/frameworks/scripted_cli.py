#!/usr/bin/env python3
"""Stands in for Claude Code's CLI: speaks as it does with the SDK, and its model is a script.

Asked for a page, it fetches it; where it reads that a policy denied that, it does without.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any


def fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
            return f"The page: {answer.read()}"
    except urllib.error.HTTPError as error:
        if error.headers.get("X-Trio-Egress") != "denied":
            raise
        return f"I do without the page: {json.load(error)['detail']}"


def say(**message: Any) -> None:
    print(json.dumps({"session_id": "1", **message}), flush=True)


for line in sys.stdin:
    heard = json.loads(line)
    if heard["type"] == "control_request":
        done = {"subtype": "success", "request_id": heard["request_id"], "response": {"commands": []}}
        say(type="control_response", response=done)
    elif heard["type"] == "user":
        text = fetch(heard["message"]["content"])
        say(type="system", subtype="init", claude_code_version="2.1.0")
        content = [{"type": "text", "text": text}]
        say(type="assistant", message={"role": "assistant", "model": "script", "content": content})
        counts = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "is_error": False}
        say(type="result", subtype="success", result=text, **counts)
