"""An agent that survives a denial: it reads why, tells it, and goes on with what it may do.

Run it with: trio-egress run --policy examples/hello.toml -- python3 examples/fetch-agent.py URL [URL ...]

A denied plain HTTP request is answered with 403 and a JSON problem: the reason, the rule, and what a *person* can
change. A denied name or TLS connection is an OSError like any other, at once: there is nothing to wait for.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request


def fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 (any URL: the sandbox judges it)
            return f"{answer.status}, {len(answer.read())} bytes"
    except urllib.error.HTTPError as error:
        if error.headers.get("X-Trio-Egress") != "denied":
            return f"{error.code} from the server"
        problem = json.load(error)
        return f"denied: {problem['detail']} ({problem['remedy']})"
    except OSError as error:
        return f"not reached: {error}"


if __name__ == "__main__":
    for url in sys.argv[1:]:
        print(f"{url}: {fetch(url)}")
