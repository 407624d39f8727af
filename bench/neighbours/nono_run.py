"""A command under nono, as its own documentation puts the pieces together: reads anywhere, writes here, one host."""

from __future__ import annotations

import sys
from typing import Any

import nono_py  # type: ignore[import-not-found,unused-ignore]

nono: Any = nono_py

if __name__ == "__main__":
    proxy = nono.start_proxy(nono.ProxyConfig(allowed_hosts=["allowed.example"]))
    caps = nono.CapabilitySet()
    caps.allow_path("/", nono.AccessMode.READ)
    caps.allow_path(".", nono.AccessMode.READ_WRITE)
    caps.proxy_only(proxy)
    done = nono.sandboxed_exec(caps, sys.argv[1:], env=proxy.sandbox_env(), inherit_env=True)
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    proxy.shutdown()
