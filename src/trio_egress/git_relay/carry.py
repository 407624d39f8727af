"""One connection: an SSH server for the agent's client, and a client of the server outside, with one command between.

AsyncSSH speaks SSH on both sides. What may be carried is not judged here: the proxy is asked, and nothing is said to
the server outside before it has answered.

Rule 1: whoever connects is let in, since only the agent can; who it says to be is told to the proxy.
Rule 2: of all that SSH has, one command goes through. Every other attempt is refused, and told.
Rule 3: no file, agent, configuration or variable of this machine is used: neither known hosts nor keys nor names.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import asyncssh

from trio_egress.errors import PeerError
from trio_egress.wire.git_command import find_protocol
from trio_egress.wire.git_relay import TRIED_MOST, Kind, Message, Side, Talk

SOFTWARE = "trio-egress"
READ_BYTES = 64 * 1024
LOGIN_SECONDS = 120
TOLD_CHARS = 300
END_SECONDS = 5.0
REFUSED = 1


def open_host_key(text: str) -> asyncssh.SSHKey:
    return asyncssh.import_private_key(text)


class Carrier:
    """`inner`: to the agent. `outer`: to the server outside. `channel`: to the proxy."""

    def __init__(
        self,
        inner: socket.socket,
        outer: socket.socket,
        channel: socket.socket,
        host_key: object,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._inner, self._outer, self._channel = inner, outer, channel
        self._host_key = host_key
        self._end_process = end_process
        self._talk = Talk(Side.RELAY)
        self._tried = 0
        self._asked = False
        self._answer: asyncio.Future[Message] | None = None
        self._finished: asyncio.Event | None = None
        self.user = ""

    async def run(self) -> None:
        """Until the command has ended, or the agent has left. Where the proxy hangs up, this process ends at once."""
        loop = asyncio.get_running_loop()
        self._answer, self._finished = loop.create_future(), asyncio.Event()
        self._channel.setblocking(False)
        listening = loop.create_task(self._listen())
        try:
            server = await asyncssh.run_server(
                self._inner,
                server_factory=lambda: _Server(self),
                server_host_keys=[self._host_key],
                encoding=None,
                server_version=SOFTWARE,
                login_timeout=LOGIN_SECONDS,
                x11_forwarding=False,
                agent_forwarding=False,
                gss_host=None,
                public_key_auth=False,
                password_auth=False,
                kbdint_auth=False,
                host_based_auth=False,
                compression_algs=["none"],
            )
            await self._finished.wait()
            server.close()
            await asyncio.wait_for(server.wait_closed(), END_SECONDS)
        except (OSError, asyncssh.Error, asyncio.TimeoutError):
            pass  # the agent's side is gone, or was never one
        listening.cancel()

    def tell_tried(self, what: str) -> None:
        """Something else than git was asked for, and is refused."""
        self._tried += 1
        if self._tried > TRIED_MOST + 1:
            return
        self._say(self._talk.say(Kind.TRIED, what=what[:TOLD_CHARS]))

    def leave(self) -> None:
        """The agent's side is gone: so is everything else."""
        if self._finished is not None and not self._finished.is_set():
            self._end_process(0)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while raw := await loop.sock_recv(self._channel, READ_BYTES):
            try:
                for message in self._talk.feed(raw):
                    if self._answer is not None:
                        self._answer.set_result(message)
            except PeerError:
                break
        self._end_process(0)

    def _say(self, frame: bytes) -> None:
        """A few hundred bytes at a time, and few of them: where they find no room, the proxy is gone."""
        try:
            sent = self._channel.send(frame)
        except OSError:
            sent = 0
        if sent != len(frame):
            self._end_process(1)

    def open_session(self) -> asyncssh.SSHServerProcess[bytes]:
        """What a channel of the agent's is for."""
        return _Process(self)

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        first = not self._asked and process.command is not None
        try:
            process.exit(await (self._serve_command(process) if first else self._refuse_other(process)))
            await process.wait_closed()
        finally:
            if first and self._finished is not None:
                self._finished.set()

    async def _refuse_other(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        self.tell_tried("a shell" if process.command is None else "a second command")
        return _refuse(process, "git's services alone are carried here, one in a connection")

    async def _serve_command(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
        command = process.command or ""
        self._asked = True
        protocol = find_protocol(dict(process.env)) or ""
        asked = {"user": self.user[:TOLD_CHARS], "command": command[: 4 * TOLD_CHARS], "protocol": protocol}
        if len(command) > 4 * TOLD_CHARS:
            asked["command"] = f"{asked['command']} …"  # which is no command of git's
        self._say(self._talk.say(Kind.ASK, **asked))
        answer = await self._wait_answer()
        if answer.kind is Kind.NO:
            return _refuse(process, f"denied by the egress policy: {answer.text('reason')}")
        try:
            status = await _carry(process, self._outer, answer)
        except (OSError, asyncssh.Error) as error:
            reason = getattr(error, "reason", "") or str(error) or "the connection was lost"
            self._say(self._talk.say(Kind.ENDED, status="", reason=reason[:TOLD_CHARS]))
            return _refuse(process, reason)
        self._say(self._talk.say(Kind.ENDED, status=str(status), reason=""))
        return status

    async def _wait_answer(self) -> Message:
        if self._answer is None:
            raise ValueError("nothing is asked before a connection runs")
        return await self._answer


def _refuse(process: asyncssh.SSHServerProcess[bytes], reason: str) -> int:
    shown = "".join(c if c.isprintable() else " " for c in reason)
    process.stderr.write(f"{SOFTWARE}: {shown}\n".encode())
    return REFUSED


async def _carry(process: asyncssh.SSHServerProcess[bytes], outer: socket.socket, go: Message) -> int:
    """Run the command outside, and carry what both ends say of it. Its exit status."""
    protocol = go.text("protocol")
    async with await asyncssh.run_client(
        outer,
        host=go.text("host"),
        config=None,
        client_factory=lambda: _Client(frozenset(go.texts("host_keys"))),
        username=go.text("user"),
        client_keys=[asyncssh.import_private_key(go.text("key"))],
        known_hosts=([], [], []),
        agent_path=None,
        agent_forwarding=False,
        gss_host=None,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        preferred_auth=["publickey"],
        compression_algs=["none"],
        client_version=SOFTWARE,
        login_timeout=LOGIN_SECONDS,
    ) as connection:
        env = {"GIT_PROTOCOL": protocol} if protocol else {}
        async with await connection.create_process(
            go.text("command"), encoding=None, env=env, request_pty=False
        ) as outside:
            asking = asyncio.ensure_future(_copy(process.stdin, outside.stdin, end=True))
            await asyncio.gather(_copy(outside.stdout, process.stdout), _copy(outside.stderr, process.stderr))
            asking.cancel()
            await outside.wait_closed()
            status = outside.exit_status
    return status if status is not None and 0 <= status < 256 else 255


async def _copy(source: Any, sink: Any, *, end: bool = False) -> None:
    """Until the source ends; the sink's own end is the other side's to notice."""
    try:
        while raw := await source.read(READ_BYTES):
            sink.write(raw)
            await sink.drain()
        if end:
            sink.write_eof()
    except (BrokenPipeError, ConnectionResetError):
        pass


class _Process(asyncssh.SSHServerProcess[bytes]):
    """A channel that runs commands, and none of what this machine has of its own: no files by SFTP, no SCP."""

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(carrier.serve, None, 0, False)
        self._carrier = carrier

    def pty_requested(self, term_type: str, term_size: object, term_modes: object) -> bool:
        self._carrier.tell_tried("a terminal")
        return False

    def subsystem_requested(self, subsystem: str) -> bool:
        self._carrier.tell_tried(f"the subsystem {subsystem}")
        return False


class _Server(asyncssh.SSHServer):
    """What the agent's client asks for beside commands."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        async def refuse_agent() -> bool:
            self._carrier.tell_tried("the forwarding of an SSH agent (-A)")
            return False

        conn.create_agent_listener = refuse_agent  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        self._carrier.leave()

    def begin_auth(self, username: str) -> bool:
        self._carrier.user = username
        return False

    def session_requested(self) -> asyncssh.SSHServerProcess[bytes]:
        return self._carrier.open_session()

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        self._carrier.tell_tried(f"a connection to {dest_host}:{dest_port} (-L, -D, -W, -J)")
        return False

    def unix_connection_requested(self, dest_path: str) -> bool:
        self._carrier.tell_tried(f"a connection to the socket {dest_path} (-L)")
        return False

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        self._carrier.tell_tried(f"a listener at {listen_host or '*'}:{listen_port} (-R)")
        return False

    def unix_server_requested(self, listen_path: str) -> bool:
        self._carrier.tell_tried(f"a listener at the socket {listen_path} (-R)")
        return False

    def tun_requested(self, unit: int | None) -> bool:
        self._carrier.tell_tried("a tunnel device (-w)")
        return False

    def tap_requested(self, unit: int | None) -> bool:
        self._carrier.tell_tried("a tunnel device (-w)")
        return False


class _Client(asyncssh.SSHClient):
    """The server outside is known by the fingerprints of its keys, and by nothing else."""

    def __init__(self, fingerprints: frozenset[str]) -> None:
        self._fingerprints = fingerprints

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return key.get_fingerprint("sha256") in self._fingerprints


class _Rehearsed(asyncssh.SSHServer):
    """Who lets everybody in."""

    def begin_auth(self, username: str) -> bool:
        return False


async def rehearse(host_key: asyncssh.SSHKey) -> None:
    """Carry one command to a server that is ourselves, so that nothing is left to load."""
    agent, inner = socket.socketpair()
    outer, far = socket.socketpair()
    channel, proxy = socket.socketpair()
    carrier = Carrier(inner, outer, channel, host_key, lambda _code: None)

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        proxy.setblocking(False)
        talk = Talk(Side.PROXY)
        talk.feed(await loop.sock_recv(proxy, READ_BYTES))
        key, fingerprint = host_key.export_private_key().decode(), host_key.get_fingerprint("sha256")
        go: dict[str, str | list[str]] = {
            "user": "git",
            "command": "x",
            "protocol": "",
            "key": key,
            "host": "x",
            "host_keys": [fingerprint],
        }
        await loop.sock_sendall(proxy, talk.say(Kind.GO, **go))

    async def greet(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(await process.stdin.read())
        process.exit(0)

    answering = asyncio.ensure_future(answer())
    serving = asyncio.ensure_future(
        asyncssh.run_server(
            far,
            server_factory=_Rehearsed,
            process_factory=greet,
            server_host_keys=[host_key],
            encoding=None,
            gss_host=None,
        )
    )
    running = asyncio.ensure_future(carrier.run())
    async with await asyncssh.run_client(
        agent,
        host="x",
        config=None,
        known_hosts=None,
        username="git",
        client_keys=None,
        agent_path=None,
        gss_host=None,
    ) as client:
        await client.run("x", input="x")
    await asyncio.gather(answering, running)
    (await serving).close()
