#!/usr/bin/env bash
# An agent in any CI: installs trio-egress by hashes, runs the agent, verifies its packet with a key in the repository.
#
#   examples/ci/egress.sh POLICY COMMAND [ARG ...]
#
# EGRESS_KEY       a file with the private key; without it the packet proves nothing of who signed
# EGRESS_PUBLIC    the public keys to verify by, hex or a file (default: the public half of EGRESS_KEY)
# EGRESS_SOURCE    a checkout of trio-egress at the commit that you have read (default: the one that this script is in,
#                  or else ./trio-egress)
# EGRESS_OUT       where packet.zip, egress.xml (JUnit), egress.sarif and summary.md go (default: egress)
set -euo pipefail

policy=${1:?policy} && shift
own=$(dirname "$0")/../..
[[ -e $own/action/install.sh ]] || own=trio-egress
source=$(realpath "${EGRESS_SOURCE:-$own}")
out=${EGRESS_OUT:-egress}
mkdir -p "$out"

# Outside of the working directory, which is the agent's to write in.
tools=$(mktemp -d "${HOME:?}/.trio-egress-XXXXXXXX")
trap 'rm -rf "$tools"' EXIT
chmod 755 "$tools"
GITHUB_ACTION_PATH=$source RUNNER_TEMP=$tools GITHUB_OUTPUT=$tools/output "$source/action/install.sh"
python=$(sed -n 's/^python=//p' "$tools/output")
trio_egress() { "$python" -I -m trio_egress "$@"; }

signed=() keys=()
[[ -z ${EGRESS_KEY:-} ]] || signed=(--key "$EGRESS_KEY")
[[ -z ${EGRESS_PUBLIC:-} ]] || keys=(--public-key "$EGRESS_PUBLIC")

code=0
trio_egress run --policy "$policy" --evidence "$out/packet" "${signed[@]}" "${keys[@]}" --fail-on deny \
    --junit "$out/egress.xml" --sarif "$out/egress.sarif" --summary "$out/summary.md" -- "$@" || code=$?
[[ ! -e $out/packet/manifest.json ]] || trio_egress packet pack "$out/packet" --output "$out/packet.zip"
exit "$code"
