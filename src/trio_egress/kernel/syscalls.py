"""The system calls that Python lacks, by ctypes: the only file that talks to libc.

Imports ctypes, os and struct alone: the launcher loads it under `python -I -S`, where no third-party package exists.
Each function is one call; a failure is an OSError whose text begins with the name of the call.  It decides
nothing: which namespaces, mounts and filters there are is the plan's business.

Rule 1: every argument goes out as a full machine word, so no upper half of a register is left to chance.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x2_0000
MS_PRIVATE = 0x4_0000
MS_SLAVE = 0x8_0000
MS_SHARED = 0x10_0000
MS_RELATIME = 0x20_0000
MS_STRICTATIME = 0x100_0000

MNT_FORCE = 0x1
MNT_DETACH = 0x2
MNT_EXPIRE = 0x4
UMOUNT_NOFOLLOW = 0x8

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
_MOUNT_ATTR_IDMAP = 0x10_0000
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = 0x8_0000  # O_CLOEXEC, on both machines
_MOVE_MOUNT_F_EMPTY_PATH = 0x4

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x2008_0522
_CAPABILITY_COUNT = 64
_EINVAL = 22
_NO_ID = -1  # setfsuid and setfsgid tell the present one when they refuse

_SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x08
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20  # Linux 5.19
_FILTER_BYTES = 8
_FILTER_MAX = 4096

_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_KEYCTL_JOIN_SESSION_KEYRING = 1
_KCMP_VM = 1
_RESOLVE_STRICTLY = 0x02 | 0x04 | 0x08  # RESOLVE_NO_MAGICLINKS, NO_SYMLINKS, BENEATH

# Calls without a function in libc. x86-64, aarch64 (asm/unistd_64.h, asm-generic/unistd.h).
_NUMBERS = {
    "x86_64": {"kcmp": 312, "keyctl": 250, "seccomp": 317}
    | {"bpf": 321, "perf_event_open": 298, "process_vm_readv": 310, "ptrace": 101},
    "aarch64": {"kcmp": 272, "keyctl": 219, "seccomp": 277}
    | {"bpf": 280, "perf_event_open": 241, "process_vm_readv": 270, "ptrace": 117},
}
_SAME_NUMBERS = {  # since 5.1 a call has one number on every machine
    "io_uring_setup": 425,
    "landlock_add_rule": 445,
    "landlock_create_ruleset": 444,
    "landlock_restrict_self": 446,
    "mount_setattr": 442,
    "move_mount": 429,
    "open_tree": 428,
    "openat2": 437,
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * 5]
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_libc.unshare.argtypes = [ctypes.c_int]
_libc.setns.argtypes = [ctypes.c_int, ctypes.c_int]
_libc.mount.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.capset.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
_libc.capget.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
_libc.setfsuid.argtypes = [ctypes.c_int]
_libc.setfsgid.argtypes = [ctypes.c_int]


class _CapabilityHeader(ctypes.Structure):
    """struct __user_cap_header_struct (linux/capability.h)."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Program(ctypes.Structure):
    """struct sock_fprog (linux/filter.h)."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _checked(result: int, call: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def _prctl(option: int, call: str, second: int = 0, third: int = 0) -> int:
    return _checked(_libc.prctl(option, second, third, 0, 0), f"prctl({call})")


def _syscall(name: str, *arguments: int | bytes | None, call: str = "") -> int:
    numbers = _SAME_NUMBERS | _NUMBERS.get(os.uname().machine, {})
    if os.uname().machine not in _NUMBERS or name not in numbers:
        raise OSError(38, f"{name}: not known on {os.uname().machine!r}")  # ENOSYS
    number = numbers[name]
    words = [*arguments, *[0] * (5 - len(arguments))]
    return _checked(_libc.syscall(number, *words), call or name)


def _path(value: str | None) -> bytes | None:
    return None if value is None else os.fsencode(value)


def unshare(flags: int) -> None:
    """unshare(2): CLONE_NEWUSER and others may go in one call, the user namespace then comes first."""
    try:
        _checked(_libc.unshare(flags), f"unshare({flags:#x})")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # Of namespaces, not of a disk (`man 7 namespaces`, "The /proc/sys/user directory").
        limit = "more namespaces than the sysctls user.max_*_namespaces allow"
        raise OSError(error.errno, f"unshare({flags:#x}): {limit}") from None


def setns(process: int, kind: int) -> None:
    """setns(2), Linux 5.8: into a process's (a pidfd's) namespace; of PIDs (CLONE_NEWPID) it is that of later
    children."""
    _checked(_libc.setns(process, kind), f"setns({kind:#x})")


def open_beneath(directory: int, path: str, flags: int) -> int:
    """openat2(2), Linux 5.6: what is below `directory` by this way, with no link of any kind on it."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_STRICTLY)
    call = f"openat2({path})"
    return _syscall("openat2", directory, os.fsencode(path), how, len(how), call=call)


def mount(
    source: str | None, target: str, fstype: str | None = None, flags: int = 0, data: str | None = None
) -> None:
    """mount(2)."""
    raw_data = None if data is None else data.encode()
    result = _libc.mount(_path(source), _path(target), _path(fstype), flags, raw_data)
    _checked(result, f"mount({fstype or source or 'none'} on {target}, flags {flags:#x})")


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(_path(target), flags), f"umount2({target}, flags {flags:#x})")


def mount_setattr(target: str, set_flags: int = 0, clear_flags: int = 0, *, recursive: bool = False) -> None:
    """mount_setattr(2), Linux 5.12: MOUNT_ATTR_* of one mount, or of all below it too."""
    attributes = struct.pack("=QQQQ", set_flags, clear_flags, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    path = os.fsencode(target)
    call = f"mount_setattr({target}, +{set_flags:#x} -{clear_flags:#x})"
    _syscall("mount_setattr", _AT_FDCWD, path, flags, attributes, len(attributes), call=call)


def open_tree(path: str) -> int:
    """open_tree(2), Linux 5.2: a copy of the mounts from `path` down that is mounted nowhere; the caller closes it."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return _syscall("open_tree", _AT_FDCWD, os.fsencode(path), flags, call=f"open_tree({path})")


def map_mount(tree: int, set_flags: int, user_namespace: int) -> None:
    """mount_setattr(2) of the uppermost mount of such a copy: MOUNT_ATTR_*, and files seen with the namespace's ids.

    Needs root of the file system's own user namespace.
    """
    attributes = struct.pack("=QQQQ", set_flags | _MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    words = (tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
    _syscall("mount_setattr", *words, call="mount_setattr(MOUNT_ATTR_IDMAP)")


def move_mount(tree: int, target: str) -> None:
    """move_mount(2), Linux 5.2: mount such a copy at `target`."""
    words = (tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    _syscall("move_mount", *words, call=f"move_mount({target})")


def set_file_ids(uid: int, gid: int) -> None:
    """The ids that this thread's access to files is judged by; with an id but 0 it has no capability over files.

    All others stay (man 2 setfsuid, man 7 capabilities).
    """
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    if (_libc.setfsuid(_NO_ID), _libc.setfsgid(_NO_ID)) != (uid, gid):
        raise OSError(1, f"setfsuid({uid}), setfsgid({gid}): {os.strerror(1)}")


def set_no_new_privs() -> None:
    """No execve by this process or its children can gain anything, for ever (man 2 PR_SET_NO_NEW_PRIVS)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS", 1)


def set_parent_death_signal(signal: int) -> None:
    """Get `signal` when the parent *thread* ends. Cleared by setuid and by exec of a set-id program."""
    _prctl(_PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG", int(signal))


def set_dumpable(dumpable: bool) -> None:
    """False: no core file, and /proc/PID belongs to root, so that same-uid processes cannot look inside."""
    _prctl(_PR_SET_DUMPABLE, "PR_SET_DUMPABLE", int(dumpable))


def keep_capabilities() -> None:
    """Let the permitted set survive the next change from root to another user; exec forgets this."""
    _prctl(_PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS", 1)


def raise_capabilities() -> None:
    """Make every permitted capability effective again, after such a change.

    With it a former root may still create a user namespace, and own it as an ordinary user, where only the
    privileged may: Debian's kernel.unprivileged_userns_clone, Ubuntu's AppArmor restriction.
    """
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: the lower 32, then the upper
    _checked(_libc.capget(ctypes.byref(header), ctypes.byref(sets)), "capget")
    sets[0], sets[3] = sets[1], sets[4]
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")


def drop_capabilities() -> None:
    """Empty all five sets of this thread, and they stay empty through exec. Needs CAP_SETPCAP for the first.

    The bounding set goes first because dropping from it needs a capability; a bounding set that is empty
    already needs none.
    """
    for capability in range(_CAPABILITY_COUNT):
        try:
            held = _prctl(_PR_CAPBSET_READ, "PR_CAPBSET_READ", capability)
        except OSError as error:
            if error.errno == _EINVAL and capability:  # one past the last that this kernel knows
                break
            raise
        if held:
            _prctl(_PR_CAPBSET_DROP, "PR_CAPBSET_DROP", capability)
    _prctl(_PR_CAP_AMBIENT, "PR_CAP_AMBIENT_CLEAR_ALL", _PR_CAP_AMBIENT_CLEAR_ALL)
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref(nothing)), "capset")


def install_seccomp(program: bytes, flags: int = 0) -> int:
    """Put a filter (an array of struct sock_filter) on this thread and all that it starts, for ever.

    With SECCOMP_FILTER_FLAG_NEW_LISTENER the result is the descriptor of its listener. Needs no_new_privs or
    CAP_SYS_ADMIN. The process must have one thread: the others would stay unfiltered.
    """
    length, rest = divmod(len(program), _FILTER_BYTES)
    if rest or not 0 < length <= _FILTER_MAX:
        raise OSError(_EINVAL, f"seccomp: a program of {len(program)} bytes is no array of sock_filter")
    filters = ctypes.create_string_buffer(program, len(program))
    header = _Program(length, ctypes.cast(filters, ctypes.c_void_p))
    return _syscall("seccomp", _SECCOMP_SET_MODE_FILTER, flags, ctypes.addressof(header))


def landlock_abi() -> int:
    """The Landlock version of this kernel, 0 where it is missing or switched off."""
    try:
        return _syscall("landlock_create_ruleset", None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    except OSError:
        return 0


def landlock_create_ruleset(handled_rights: int, scopes: int) -> int:
    """A descriptor of an empty ruleset that denies `handled_rights` (of files) and confines to `scopes`."""
    attributes = struct.pack("=QQQ", handled_rights, 0, scopes)
    call = f"landlock_create_ruleset({handled_rights:#x}, scopes {scopes:#x})"
    return _syscall("landlock_create_ruleset", attributes, len(attributes), 0, call=call)


def landlock_add_rule(ruleset: int, rights: int, beneath: int) -> None:
    """Allow `rights` to the file of the descriptor `beneath`, and to all below it where it is a directory."""
    attributes = struct.pack("=Qi", rights, beneath)
    call = f"landlock_add_rule({rights:#x})"
    _syscall("landlock_add_rule", ruleset, _LANDLOCK_RULE_PATH_BENEATH, attributes, 0, call=call)


def landlock_restrict_self(ruleset: int) -> None:
    """Put the ruleset on this thread and all that it starts, for ever. Needs no_new_privs or CAP_SYS_ADMIN."""
    _syscall("landlock_restrict_self", ruleset, 0)


def attempt(name: str, *arguments: int) -> int:
    """Any of the calls that are known by number, with these words: for probes, which ask whether it is refused."""
    return _syscall(name, *arguments)


def call_number(number: int, *arguments: int) -> int:
    """Any call by its number, with these words: for attacks, which ask for every one that is refused."""
    words = [*arguments, *[0] * (5 - len(arguments))]
    return _checked(_libc.syscall(number, *words), f"call {number}")


def new_session_keyring() -> None:
    """Leave the caller's session keyring for a new, empty one (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING)."""
    _syscall("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, None, call="keyctl(KEYCTL_JOIN_SESSION_KEYRING)")


def share_memory(one: int, other: int) -> bool:
    """Whether two processes have one address space: kcmp(2), which needs the right to trace both."""
    return _syscall("kcmp", one, other, _KCMP_VM, call=f"kcmp({one}, {other})") == 0
