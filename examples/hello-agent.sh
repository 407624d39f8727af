#!/bin/sh
# The smallest agent: it asks for one page that hello.toml allows, and tries two things that it does not.
# Run it with: trio-egress run --policy examples/hello.toml -- examples/hello-agent.sh
# Needs curl. It ends with 0 when the denied ones were denied, whatever the network beyond the sandbox is like.

try() {
    printf '%-32s ' "$*"
    curl --silent --show-error --fail --max-time 20 --output /dev/null --write-out 'status %{http_code}\n' "$@" 2>&1
}

try https://example.com/ || true

if try https://elsewhere.example/; then echo "hello-agent: that should have been denied" >&2; exit 1; fi
if try http://203.0.113.7:8080/; then echo "hello-agent: that should have been denied" >&2; exit 1; fi
