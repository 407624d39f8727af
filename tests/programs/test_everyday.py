"""What a script takes for granted, and what users of sandboxes miss first: it is inside what it is outside."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from tests.programs.jobs import SYSTEM_PATH, run_job, run_outside
from tests.runs.launch import AGENT, Place, wait_until, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

SAME = {
    "who it is": "id; id -un; id -gn; whoami; getent passwd $(id -u); echo ~ $HOME $USER $LOGNAME",
    "where it is": "pwd; pwd -P; hostname; uname -a; nproc; getconf PAGE_SIZE; cat /etc/os-release",
    "its locale": "locale; locale -a; printf '%s\\n' b a ä | sort; printf 'ä' | wc -m; LC_ALL=C printf 'ä' | wc -c",
    "its time": "date +%Z; TZ=Europe/Berlin date -d @0; TZ=America/Lima date -d @0; date -r /etc/passwd; date +%Y",
    "its mask and stack": "umask; ulimit -s; ulimit -n; umask 077; touch secret; stat -c %a secret; rm secret",
    "its descriptors": """
        echo one | cat /dev/stdin; echo two | cat /dev/fd/0; cat <(echo three) /dev/fd/3 3<<<four
        exec 5>&1; echo five >&5; cat </dev/null; head -c4 /dev/zero | od -An -tx1; head -c8 /dev/urandom | wc -c
    """,
    "its files": """
        f=$(mktemp); d=$(mktemp -d -p .); stat -c %a $f $d; echo x >$f; cat $f; mv $f $d/
        ln $d/* $d/hard; ln -s hard $d/soft; stat -c %h $d/hard
        cat $d/soft; chmod 0751 $d/hard; stat -c %a $d/hard; touch -d @1 $d/hard
        stat -c %Y $d/hard
        cp -a $d copy; rm -r $d; mv copy other; rmdir other 2>/dev/null || ls -1 other | wc -l; rm -r other
        truncate -s 5M big; fallocate -l 6M big; stat -c %s big; cp --reflink=auto big big2; cmp big big2; rm big big2
    """,
    "its children": """
        sleep 600 & kill %1; wait %1 || echo $?; (exit 7) || echo $?; set +e; timeout 0.1 sleep 600; echo $?
        trap 'echo caught' USR1; kill -USR1 $$; yes | head -n1; sh -c 'kill -9 $$'; echo $?; nohup true; echo $?
        nice -n 5 nice; setsid -w sh -c 'echo session'; cat /proc/self/comm; ls /proc/self/fd | wc -l
    """,
}


@pytest.mark.parametrize("script", SAME.values(), ids=SAME)
def test_it_finds_what_it_finds_outside(place: Place, script: str) -> None:
    outside = run_outside(place, script)
    ended = run_job(place, script)
    assert (ended.code, ended.text) == (0, outside), ended.err
    assert ended.receipts == []
    assert ended.verify() == 0


def test_ps_and_its_like_see_the_agents_processes_alone(place: Place) -> None:
    script = """
    sleep 600 & until grep -q sleep /proc/$!/comm; do :; done
    ps -eo comm=; pgrep -c sleep; pkill sleep; top -bn1 >top; free -m >free; uptime
    """
    ended = run_job(place, script)
    assert ended.code == 0, ended.err
    seen = ended.text.splitlines()
    assert "1" in seen
    assert {"bash", "ps", "sleep"} <= set(seen)
    assert not {"sshd", "init", "systemd", "pytest"} & set(seen)


def test_its_own_name_is_its_own_loopback_and_no_attempt(place: Place) -> None:
    """As Java, Gradle and many servers ask for it when they start; every family is asked for."""
    script = """
    getent ahosts "$(hostname)" | cut -d" " -f1 | sort -u; getent hosts "$(hostname)" localhost | wc -l
    python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()))'
    """
    ended = run_job(place, script)
    assert ended.text.split() == ["127.0.0.1", "::1", "2", "127.0.0.1"]
    assert ended.receipts == []


ASK = """
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC):
    for name in ("api.example.com", "localhost"):
        for flags in (0, socket.AI_ADDRCONFIG):
            found = {answer[4][0] for answer in socket.getaddrinfo(name, 80, family, flags=flags)}
            print(*sorted(found))
"""


def test_a_name_is_found_by_those_who_ask_for_configured_families_alone(place: Place) -> None:
    """AI_ADDRCONFIG, as `wget -4`, apt's ForceIPv4 and node ask: glibc counts neither 127.0.0.1 nor ::1."""
    ended = run_job(place, 'python3 -c "$1"', ASK, policy=write_policy("api.example.com"))
    v4, v6, both = (lines.splitlines() for lines in re.findall(r"(?:.*\n){4}", ended.text))
    assert [v4[0], v4[2]] == ["198.18.0.2", "127.0.0.1"]
    assert v6[2] == "::1"
    assert both[::2] == [f"{v4[0]} {v6[0]}", "127.0.0.1 ::1"]
    assert (v4[1::2], v6[1::2], both[1::2]) == (v4[::2], v6[::2], both[::2])


@pytest.mark.root
def test_a_name_in_the_hosts_own_list_is_judged_by_its_name(place: Place) -> None:
    """The list leads past DNS: what it says holds where the proxy looks names up."""
    hosts = place.write("hosts", "203.0.113.9 api.example.com other.example.com\n")
    place.write("policy-0.toml", write_policy("api.example.com"))
    script = 'for name in api other; do getent ahostsv4 $name.example.com | cut -d" " -f1 | sort -u; done'
    command = [*place.program("run", 0), "--", "sh", "-c", script]
    bind = ["unshare", "--mount", "sh", "-ec", 'mount --bind "$0" /etc/hosts; exec "$@"', str(hosts)]
    ran = subprocess.run([*bind, *command], cwd=place.work, capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("198.18."), ran.stderr
    assert len(ran.stdout.split()) == 1
    assert "denied dns:other.example.com" in ran.stderr


def test_what_it_makes_in_the_working_directory_is_its_own_and_stays(place: Place) -> None:
    ended = run_job(place, "umask 027; mkdir -p made/here; echo text >made/here/file; mkfifo made/pipe")
    assert ended.code == 0
    for name, mode in (("made", 0o750), ("made/here/file", 0o640), ("made/pipe", 0o640)):
        found = (place.work / name).lstat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (AGENT.pw_uid, AGENT.pw_gid, mode)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_is_a_pipe_can_be_opened_by_its_name(place: Place, stream: str) -> None:
    """As root the pipe is of another user than the agent."""
    reader, writer = os.pipe()
    ended = place.run(write_policy(), "sh", "-c", f"echo told >/dev/{stream}", **{stream: writer})
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert b"told\n" in file.read()
    assert ended.code == 0


def test_standard_input_that_is_a_pipe_can_be_opened_by_its_name(place: Place) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"told\0\xff")
    os.close(writer)
    ended = place.run(write_policy(), "sh", "-c", "cat /dev/stdin", stdin=reader)
    os.close(reader)
    assert (ended.code, ended.out) == (0, b"told\0\xff")


def test_a_megabyte_goes_through_each_stream(place: Place) -> None:
    source = place.path / "input"
    source.write_bytes(os.urandom(1 << 20))
    with source.open("rb") as file:
        ended = place.run(
            write_policy(), "sh", "-c", "tee copy; cat copy >&2", stdin=file, stderr=subprocess.DEVNULL
        )
    assert ended.out == source.read_bytes() == (place.work / "copy").read_bytes()


def test_a_big_environment_and_a_long_command_line_arrive_whole(place: Place) -> None:
    variables = {f"V{number}": "x" * 10_000 for number in range(60)} | {"ONE": "y" * 120_000}
    words = ["z" * 100_000, *["word"] * 20_000, ""]
    script = 'printf "%s %s %s %s" "$#" "${#1}" "${#ONE}" "$(env | grep -c "^V[0-9]*=x*$")"; test -z "${!#}"'
    ended = run_job(place, script, *words, environment=variables)
    assert (ended.code, ended.text) == (0, "20002 100000 120000 60"), ended.err


ODD = b"\xff \xc3\xa4'\"\\,:=%\n\x01"


def test_a_name_of_any_bytes_is_a_name(place: Place) -> None:
    """As argument, variable, file and working directory."""
    folder = os.fsencode(place.work) + b"/" + ODD
    os.mkdir(folder)
    os.chown(folder, AGENT.pw_uid, AGENT.pw_gid)
    script = 'cat "$1"; printf %s "$ODD" "$PWD"; echo x >"$ODD.new"'
    command: list[str | bytes] = [*place.program("run", 0), "--", "sh", "-c", script, "sh", ODD]
    place.write("policy-0.toml", write_policy())
    Path(os.fsdecode(folder + b"/" + ODD)).write_bytes(b"read it")
    environment = {**os.environ, "ODD": os.fsdecode(ODD), "PATH": SYSTEM_PATH}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    assert ran.stdout == b"read it" + ODD + folder
    assert os.stat(folder + b"/" + ODD + b".new").st_uid == AGENT.pw_uid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_reaches_the_script_that_waits_for_it(place: Place, number: signal.Signals) -> None:
    script = f'trap "echo got; exit 7" {number.name[3:]}; touch ready; while :; do sleep 0.05; done'
    started = place.start(write_policy(), "bash", "-c", script)
    wait_until(lambda: (place.work / "ready").exists(), "the agent")
    started.send(number)
    ended = started.wait()
    assert (ended.code, ended.text) == (7, "got\n")
