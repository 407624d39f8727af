"""docs/programs.md: what a program may notice, tried row by row with a program that does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.programs.jobs import run_job, run_outside
from tests.runs.launch import AS_ROOT, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PAGE = (Path(__file__).parents[2] / "docs/programs.md").read_text("utf-8")

LEAKS = "echo 'int main(void){ return 0; }' >m.c; gcc -fsanitize=address m.c -o m; "
SEND = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('203.0.113.7', 443))"
TRIED = {
    "makes containers": ("unshare -r true", "Operation not permitted"),
    "traces": (f"{LEAKS} ASAN_OPTIONS=detect_leaks=0 ./m && ./m", "LeakSanitizer does not work under ptrace"),
    "gains rights": ("sudo -n true", 'The "no new privileges" flag is set'),
    "sends UDP": (f'python3 -c "{SEND}"', "Operation not permitted"),
    "asks a DNS server": ("dig +short +time=5 @8.8.8.8 api.example.com; false", "198.18.0."),
    "looks for its network": (
        "ip -brief address | tr ' ' '\\n' | grep / | LC_ALL=C sort | xargs; false",
        "127.0.0.1/8 127.0.0.2/8 ::1/128 fe80::2/64",
    ),
    "looks into /etc/hosts": ("cat /etc/hosts; false", "::1 localhost"),
    "writes outside": ("echo x >/usr/made", "Read-only file system"),
    "renames a directory": (
        'python3 -c \'import os; home = os.path.expanduser("~"); os.rename(home + "/there", home + "/here")\'',
        "Invalid cross-device link",
    ),
    "changes git's config": ("git config user.name other", "could not write config file .git/config"),
    "reads its keys": ("cat ~/.netrc; false", ""),
    "opens `/dev/stderr`": ("echo told >/dev/stderr; false", "Permission denied" if AS_ROOT else "told"),
    "serves on a port": ("python3 -m http.server 80", "Permission denied"),
}
"""By the beginning of the row: a script that fails, and what it says."""


def rows() -> list[str]:
    table = PAGE.partition("| a program that |")[2].split("\n\n")[0].splitlines()[2:]
    return [re.split(r" \| ", line.strip("| "))[0] for line in table]


def test_each_row_is_tried() -> None:
    for row in rows():
        assert sum(row.startswith(start) for start in TRIED) == 1, row
    assert len(rows()) == len(TRIED)


IN_HOME = ("renames a directory", "reads its keys")
"""As root the HOME is that of an account, which is not ours to fill."""


@pytest.mark.parametrize("start", [start for start in TRIED if not (AS_ROOT and start in IN_HOME)])
def test_a_program_finds_what_it_says(place: Place, start: str) -> None:
    script, told = TRIED[start]
    home = place.path / "home"
    (home / "there").mkdir(parents=True)
    (home / ".netrc").write_text("machine example.com password secret\n")
    run_outside(place, "git init -q .")
    policy = write_policy("api.example.com")
    ended = run_job(place, f"exec 2>&1; {script}", policy=policy, environment={"HOME": str(home)})
    assert told in ended.text, ended.text
    assert "secret" not in ended.text
    assert ended.code != 0
