#!/usr/bin/env bash
# Installs the trio-egress of this checkout for the action, in a directory of its own: dependencies by their hashes, the
# package as a copy, so that nothing that an agent can write to is ever run. Prints nothing but what goes wrong.
#
# Nothing is built, and nothing is taken from the job but RUNNER_TEMP, GITHUB_ACTION_PATH, GITHUB_OUTPUT and pip's own
# settings: what is downloaded has to have its hash.
set -euo pipefail

refuse() {
    if [[ ${GITHUB_ACTIONS:-} == true ]]; then
        printf '::error title=trio-egress::%s\n' "$1"
    else
        printf 'trio-egress: %s\n' "$1" >&2
    fi
    exit 125
}

case "$(uname -s)" in
    Linux) ;;
    *) refuse "the sandbox is built from Linux's namespaces, nftables, seccomp and Landlock, and this runner is $(uname -s): \
nothing is run, and nothing weaker takes its place. Use runs-on: ubuntu-latest, or skip the step with if: runner.os == 'Linux'" ;;
esac

action=${GITHUB_ACTION_PATH:?}
temporary=${RUNNER_TEMP:?}
output=${GITHUB_OUTPUT:?}

python=
for candidate in python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
    if "$candidate" -I -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[[ -n $python ]] || refuse "no Python from 3.10 to 3.13 is installed here: put actions/setup-python before this step"

venv=$(mktemp -d "$temporary/trio-egress-XXXXXXXX")
chmod 755 "$venv" # of a run as root the agent is somebody else, and may need the interpreter

pip=("$python" -I -m pip --python "$venv/bin/python")
"$python" -I -m venv --without-pip "$venv"
if ! "${pip[@]}" --version >/dev/null 2>&1; then # pip older than 22.3, or none
    "$python" -I -m venv "$venv" || refuse "pip is missing here: install python3-pip, or python3-venv"
    pip=("$venv/bin/python" -I -m pip)
fi
env -u PIP_TARGET -u PIP_PREFIX -u PIP_USER -u PIP_ROOT "${pip[@]}" --quiet --disable-pip-version-check --no-input install \
    --require-hashes --no-deps --only-binary :all: --requirement "$action/action/requirements.txt" ||
    refuse "the dependencies could not be installed (see above)"

site=$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -R "$action/src/trio_egress" "$site/trio_egress"
"$venv/bin/python" -I -m compileall -q "$site/trio_egress"
chmod -R a+rX "$venv"

printf 'python=%s\n' "$venv/bin/python" >>"$output"
