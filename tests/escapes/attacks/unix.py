"""Unix sockets of the host: no network namespace holds those that have a path."""

from __future__ import annotations

import glob
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from tests.escapes.frame import NO_TRAFFIC, ROOM, WORK, Ways, add, attack

SECONDS = 2.0

HOST_SOCKETS = {
    "docker": "/run/docker.sock",
    "docker_by_var_run": "/var/run/docker.sock",
    "containerd": "/run/containerd/containerd.sock",
    "podman": "/run/podman/podman.sock",
    "system_bus": "/run/dbus/system_bus_socket",
    "systemd": "/run/systemd/private",
    "resolver": "/run/systemd/resolve/io.systemd.Resolve",
    "nscd": "/run/nscd/socket",
    "snapd": "/run/snapd.socket",
    "session_bus": "/run/user/1000/bus",
    "application": f"{ROOM}/app/listed.sock",
    "bound_by_a_relative_path": f"{ROOM}/app/relative.sock",
    "renamed": f"{ROOM}/app/renamed.sock",
    "hard_linked": f"{ROOM}/app/linked.sock",
    "by_a_symbolic_link": f"{ROOM}/app/symbolic.sock",
    "in_a_renamed_directory": f"{ROOM}/moved/inner.sock",
    "of_another_network_namespace": f"{ROOM}/app/foreign.sock",
    "made_after_the_start": f"{ROOM}/app/late.sock",
    "in_a_long_path": f"{ROOM}/app/{'x' * 80}.sock",
    "with_a_space_in_its_path": f"{ROOM}/app/a b.sock",
    "with_a_line_feed_in_its_path": f"{ROOM}/app/a\nb.sock",
    "in_the_working_directory": f"{WORK}/daemon.sock",
}
"""Every one is a listening stream socket of the world, which tells what it hears."""


def speak(path: str, w: Ways, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(SECONDS)
        sock.connect(path)
        sock.sendall(w.raw)
        if kind == socket.SOCK_STREAM:
            sock.recv(1)


def _to(path: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        deadline = time.monotonic() + (1.0 if path.endswith("late.sock") else 0.0)
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        speak(path, w)

    return attempt


for _name, _path in HOST_SOCKETS.items():
    add(f"socket_{_name}", _to(_path), "view", silent=NO_TRAFFIC)


@attack("view", silent=NO_TRAFFIC)
def datagram_socket(w: Ways) -> None:
    speak(f"{ROOM}/app/datagram.sock", w, socket.SOCK_DGRAM)


@attack("view", silent=NO_TRAFFIC)
def socket_in_tmp(w: Ways) -> None:
    for path in glob.glob("/tmp/trio-escape-*/agent.sock"):
        with suppress(OSError):
            speak(path, w)


@attack("view", silent=NO_TRAFFIC)
def socket_by_a_link_of_mine(w: Ways) -> None:
    os.symlink("/run/docker.sock", f"{WORK}/{w.token}")
    speak(f"{WORK}/{w.token}", w)


@attack("view", silent=NO_TRAFFIC)
def socket_by_its_descriptor(w: Ways) -> None:
    """An O_PATH descriptor of it, through /proc."""
    found = os.open(f"{ROOM}/app/listed.sock", os.O_PATH)
    speak(f"/proc/self/fd/{found}", w)


@attack("network", "landlock", silent=NO_TRAFFIC)
def abstract_socket(w: Ways) -> None:
    speak("\0trio-egress-canary", w)


@attack("network", "landlock", silent=NO_TRAFFIC)
def abstract_datagram_socket(w: Ways) -> None:
    speak("\0trio-egress-canary-datagrams", w, socket.SOCK_DGRAM)


@attack("view", silent=NO_TRAFFIC)
def named_pipe(w: Ways) -> None:
    """A read-only mount does not keep anyone from writing to a pipe on it."""
    pipe = os.open(f"{ROOM}/app/pipe", os.O_WRONLY | os.O_NONBLOCK)
    os.write(pipe, w.raw)


@attack("view", silent=NO_TRAFFIC)
def named_pipe_by_a_hard_link(w: Ways) -> None:
    os.link(f"{ROOM}/app/pipe", f"{WORK}/{w.token}")
    pipe = os.open(f"{WORK}/{w.token}", os.O_WRONLY | os.O_NONBLOCK)
    os.write(pipe, w.raw)


@attack("view", silent=NO_TRAFFIC)
def named_pipe_by_its_descriptor(w: Ways) -> None:
    path = os.open(f"{ROOM}/app/pipe", os.O_PATH)
    pipe = os.open(f"/proc/self/fd/{path}", os.O_WRONLY | os.O_NONBLOCK)
    os.write(pipe, w.raw)
