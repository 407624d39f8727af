"""Each call in a process of its own, as the user who runs the tests, in a user namespace of its own."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import trio_egress
from trio_egress.kernel import syscalls

SOURCE = str(Path(trio_egress.__file__).parent.parent)
ALLOW_ALL = struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF_0000)

PRELUDE = """
import os, sys
sys.path.append(sys.argv[1])
from trio_egress.kernel import syscalls
from trio_egress.kernel.syscalls import *
def enter(flags=0):
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | flags)
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        open(f"/proc/self/{file}", "w").write(text)
def status(prefix):
    return {k: v.strip() for k, _, v in (l.partition(":") for l in open("/proc/self/status")) if k.startswith(prefix)}
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` after PRELUDE, as the launcher is run."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", PRELUDE + textwrap.dedent(code), SOURCE],
        capture_output=True,
        text=True,
        check=False,
    )


def said(code: str) -> str:
    done = run(code)
    if "unshare(" in done.stderr:
        pytest.skip("no user namespaces for this user here; see trio-egress doctor")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_module_is_light() -> None:
    """The launcher pays for its imports at each start, and has no third-party package."""
    told = said("print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))")
    assert set(told.split()) == {"__main__", "trio_egress"}
    told = said(
        "print(*set(sys.modules) & {'typing', 're', 'socket', 'subprocess', 'json', 'enum', 'inspect'})"
    )
    assert told == ""


@pytest.mark.sandbox
def test_unshare_gives_new_namespaces() -> None:
    kinds = {"user": "CLONE_NEWUSER", "net": "CLONE_NEWNET", "mnt": "CLONE_NEWNS", "ipc": "CLONE_NEWIPC"}
    kinds |= {"uts": "CLONE_NEWUTS", "cgroup": "CLONE_NEWCGROUP", "pid_for_children": "CLONE_NEWPID"}
    told = said(
        f"""
        kinds = {kinds!r}
        before = {{kind: os.readlink(f"/proc/self/ns/{{kind}}") for kind in kinds}}
        flags = 0
        for name in kinds.values():
            flags |= getattr(syscalls, name)
        syscalls.unshare(flags)
        if os.fork() == 0:
            os._exit(0)  # the first child makes the PID namespace visible
        print(*[kind for kind in kinds if os.readlink(f"/proc/self/ns/{{kind}}") == before[kind]])
        """
    )
    assert told == ""


@pytest.mark.sandbox
def test_mount_umount2_and_mount_setattr(tmp_path: Path) -> None:
    told = said(
        f"""
        enter(CLONE_NEWNS)
        top = {str(tmp_path)!r}
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        mount("tmpfs", top, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0700")
        os.mkdir(top + "/inner")
        mount(top, top + "/inner", None, MS_BIND)
        umount2(top + "/inner", MNT_DETACH)
        mount_setattr(top, MOUNT_ATTR_RDONLY)
        try:
            open(top + "/frozen", "w")
        except OSError as error:
            frozen = error.strerror
        mount_setattr(top, clear_flags=MOUNT_ATTR_RDONLY)
        open(top + "/thawed", "w")
        print(frozen, sorted(os.listdir(top)), oct(os.stat(top).st_mode & 0o777))
        """
    )
    assert told == "Read-only file system ['inner', 'thawed'] 0o700"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sandbox
def test_drop_capabilities_empties_all_sets_for_ever() -> None:
    told = said(
        """
        enter()
        assert int(status("CapEff")["CapEff"], 16) and int(status("CapBnd")["CapBnd"], 16)
        drop_capabilities()
        print(*[int(value, 16) for value in status("Cap").values()], flush=True)
        drop_capabilities()  # nothing left to drop is no error
        os.execv("/bin/sh", ["sh", "-c", "grep ^Cap /proc/self/status | tr -d 'CapInhPrmEffBndAmb:\\\\t0\\\\n'"])
        """
    )
    assert told == "0 0 0 0 0"


@pytest.mark.ordinary
def test_drop_capabilities_fails_where_the_bounding_set_stays() -> None:
    done = run("drop_capabilities()")
    assert "PermissionError: [Errno 1] prctl(PR_CAPBSET_DROP): Operation not permitted" in done.stderr


@pytest.mark.root
def test_kept_capabilities_survive_the_change_of_user() -> None:
    change = "os.setresuid(65533, 65533, 65533); "
    effective = "print(int(status('CapEff')['CapEff'], 16) != 0)"
    assert said(f"keep_capabilities(); {change} raise_capabilities(); {effective}") == "True"
    assert said(f"keep_capabilities(); {change} {effective}") == "False"
    assert said(f"{change} raise_capabilities(); {effective}") == "False"


def test_no_new_privs_and_a_filter_are_set() -> None:
    told = said(
        f"set_no_new_privs(); install_seccomp({ALLOW_ALL!r}); print(status('NoNew'), status('Seccomp'))"
    )
    assert "'NoNewPrivs': '1'" in told
    assert "'Seccomp': '2'" in told


@pytest.mark.parametrize("length", [0, 7, 9, 4097 * 8])
def test_filter_of_an_odd_length_is_refused(length: int) -> None:
    with pytest.raises(OSError, match="no array of sock_filter") as caught:
        syscalls.install_seccomp(bytes(length))
    assert caught.value.errno == errno.EINVAL


def test_kernel_refuses_a_bad_filter() -> None:
    done = run("set_no_new_privs(); install_seccomp(b'\\xff' * 8)")
    assert "OSError: [Errno 22] seccomp: Invalid argument" in done.stderr


def test_parent_death_signal_kills_the_child() -> None:
    """The pipe is at its end only when the child is gone too, and the child would never go by itself."""
    read, write = os.pipe()
    code = f"""
    if os.fork() == 0:
        set_parent_death_signal({int(signal.SIGKILL)})
        os.write({write}, b"x")
        import signal
        while True:
            signal.pause()
    os.read(0, 1)
    os._exit(0)
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PRELUDE + textwrap.dedent(code), SOURCE],
        pass_fds=[write],
        stdin=subprocess.PIPE,
    ) as parent:
        os.close(write)
        assert os.read(read, 1) == b"x"
        assert parent.stdin is not None
        parent.stdin.write(b"x")
        parent.stdin.close()
        assert os.read(read, 1) == b""
    os.close(read)


def test_dumpable_is_switched() -> None:
    code = """
    import ctypes
    dumpable = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE
    set_dumpable(False)
    off = dumpable()
    set_dumpable(True)
    print(off, dumpable())
    """
    assert said(code) == "0 1"


def test_landlock_abi_is_a_small_number() -> None:
    assert 0 <= syscalls.landlock_abi() < 100


def test_landlock_abi_is_zero_where_the_call_is_missing() -> None:
    refuse = struct.pack("<HBBI", 0x20, 0, 0, 0) + struct.pack("<HBBI", 0x15, 0, 1, 444)
    refuse += struct.pack("<HBBI", 0x06, 0, 0, 0x0005_0026) + ALLOW_ALL
    assert said(f"set_no_new_privs(); install_seccomp({refuse!r}); print(landlock_abi())") == "0"


def test_session_keyring_is_new() -> None:
    code = """
    import ctypes
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    own = lambda: ctypes.CDLL(None).syscall(number, 0, -3, 1)  # KEYCTL_GET_KEYRING_ID, session
    before = own()
    try:
        new_session_keyring()
    except OSError as error:
        print(error.errno)
    else:
        print(before != own())
    """
    assert said(code) in ("True", str(errno.ENOSYS))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("mount('none', '/nowhere', 'tmpfs')", r"mount\(tmpfs on /nowhere, flags 0x0\): "),
        ("umount2('/nowhere')", r"umount2\(/nowhere, flags 0x0\): "),
        ("mount_setattr('/nowhere', 1)", r"mount_setattr\(/nowhere, \+0x1 -0x0\): "),
        ("unshare(1 << 31)", r"unshare\(0x80000000\): "),
        ("set_parent_death_signal(999)", r"prctl\(PR_SET_PDEATHSIG\): Invalid argument"),
    ],
)
def test_failure_begins_with_the_name_of_the_call(code: str, message: str) -> None:
    with pytest.raises(OSError, match=message):
        eval(f"syscalls.{code}")


@pytest.mark.sandbox
def test_too_many_namespaces_are_told_as_that_and_not_as_a_full_disk() -> None:
    """In a user namespace of the test's own, whose limit is then of no consequence outside."""
    told = said(
        """
        enter()
        open("/proc/sys/user/max_net_namespaces", "w").write("0")
        try:
            unshare(CLONE_NEWNET)
        except OSError as error:
            print(str(error).partition(": ")[2])
        """
    )
    assert told == "more namespaces than the sysctls user.max_*_namespaces allow"


def test_call_without_a_number_is_not_implemented() -> None:
    with pytest.raises(OSError, match="made_up: not known on") as caught:
        syscalls._syscall("made_up")
    assert caught.value.errno == errno.ENOSYS
