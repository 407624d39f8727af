"""The process that ends SSH: what an agent's client may ask of it, what the proxy hears, and when it ends."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh
import attrs
import pytest

from trio_egress.evidence.openssh import render_private
from trio_egress.evidence.sign import generate
from trio_egress.runtime.git_relay import ENVIRONMENT, PROGRAM
from trio_egress.wire.git_relay import TRIED_MOST, Kind, Message, Side, Talk

PATIENCE_SECONDS = 60.0
FETCH = "git-upload-pack 'org/repo'"


@attrs.frozen
class Relay:
    """The program, started; the test is its proxy."""

    process: subprocess.Popen[bytes]
    control: socket.socket

    def connect(self) -> Line:
        pairs = [socket.socketpair() for _ in range(3)]
        theirs = array.array("i", [there.fileno() for _, there in pairs])
        self.control.sendmsg([b"connection"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, theirs)])
        for _, there in pairs:
            there.close()
        for here, _ in pairs:
            here.setblocking(False)
        (inner, _), (outer, _), (channel, _) = pairs
        return Line(inner, outer, channel)


@attrs.frozen
class Line:
    inner: socket.socket
    outer: socket.socket
    channel: socket.socket
    talk: Talk = attrs.field(factory=lambda: Talk(Side.PROXY))

    async def hear(self, count: int = 1) -> list[Message]:
        """So many messages, or those before it hung up."""
        heard: list[Message] = []
        while len(heard) < count:
            raw = await asyncio.wait_for(
                asyncio.get_running_loop().sock_recv(self.channel, 65536), PATIENCE_SECONDS
            )
            if not raw:
                break
            heard += self.talk.feed(raw)
        return heard

    def say(self, kind: Kind, **fields: str | list[str]) -> None:
        self.channel.send(self.talk.say(kind, **fields))

    async def wait_gone(self) -> None:
        """Until its process has closed its end, which it only does by ending."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while await asyncio.wait_for(loop.sock_recv(self.channel, 65536), PATIENCE_SECONDS):
                pass

    def close(self) -> None:
        for sock in (self.inner, self.outer, self.channel):
            sock.close()


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    seed = os.urandom(32)
    public = bytes.fromhex(generate(seed).public_hex)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", PROGRAM], stdin=theirs.fileno(), env=dict(ENVIRONMENT)
            )
        ours.settimeout(PATIENCE_SECONDS)
        ours.send(json.dumps({"ids": None, "host_key": render_private(seed, public).decode()}).encode())
        assert ours.recv(16) == b"ready"
        yield Relay(process, ours)
    assert process.wait(PATIENCE_SECONDS) == 0  # it ends when the run hangs up


@asynccontextmanager
async def log_in(line: Line) -> AsyncIterator[asyncssh.SSHClientConnection]:
    client = await asyncssh.run_client(
        line.inner, host="x", config=None, known_hosts=None, username="me", client_keys=None, agent_path=None
    )
    try:
        yield client
    finally:
        client.abort()
        line.close()


Talking = Callable[[Line, asyncssh.SSHClientConnection], Awaitable[None]]


def talk(relay: Relay, talking: Talking) -> None:
    async def run() -> None:
        line = relay.connect()
        async with log_in(line) as client:
            await asyncio.wait_for(talking(line, client), PATIENCE_SECONDS)

    asyncio.run(run())


async def ask(
    client: asyncssh.SSHClientConnection, command: str = FETCH, env: dict[str, str] | None = None
) -> asyncssh.SSHClientProcess[bytes]:
    return await client.create_process(command, encoding=None, env=env or {})


async def hear_fields(line: Line) -> dict[str, object]:
    (message,) = await line.hear()
    return dict(message.fields)


def test_a_command_is_asked_for_and_a_refusal_is_told(relay: Relay) -> None:
    async def talking(line: Line, client: asyncssh.SSHClientConnection) -> None:
        asked = await ask(client, env={"GIT_PROTOCOL": "version=2", "LD_PRELOAD": "x"})
        assert await hear_fields(line) == {"user": "me", "command": FETCH, "protocol": "version=2"}
        line.say(Kind.NO, reason="because\x1b[31m")
        assert await asked.stderr.read() == b"trio-egress: denied by the egress policy: because [31m\n"
        await asked.wait_closed()
        assert asked.exit_status == 1
        await line.wait_gone()

    talk(relay, talking)


@asynccontextmanager
async def serve_outside(
    line: Line, key: asyncssh.SSHKey, login: asyncssh.SSHKey
) -> AsyncIterator[list[object]]:
    """A server that answers each command with what it was told of it, and repeats what it hears."""
    seen: list[object] = []

    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        seen.extend((process.command, dict(process.env), process.channel.get_extra_info("username")))
        process.stderr.write(b"remote: hello\n")
        while raw := await process.stdin.read(65536):
            process.stdout.write(raw)
        process.exit(7)

    class Server(asyncssh.SSHServer):
        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return key == login.convert_to_public()

    serving = asyncio.ensure_future(
        asyncssh.run_server(
            line.outer,
            server_factory=Server,
            process_factory=serve,
            server_host_keys=[key],
            encoding=None,
            gss_host=None,
        )
    )
    try:
        yield seen
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError, asyncssh.Error, OSError):
            (await serving).abort()


@pytest.mark.parametrize("known", [True, False])
def test_an_allowed_command_is_carried_to_a_server_that_is_known(relay: Relay, known: bool) -> None:
    key, login = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))

    async def talking(line: Line, client: asyncssh.SSHClientConnection) -> None:
        asked = await ask(client)
        await hear_fields(line)
        async with serve_outside(line, key, login) as seen:
            line.say(
                Kind.GO,
                user="git",
                command=FETCH,
                protocol="version=1",
                key=login.export_private_key().decode(),
                host="a.example",
                host_keys=[key.get_fingerprint() if known else "SHA256:other"],
            )
            if known:
                asked.stdin.write(b"x" * 300_000)
                asked.stdin.write_eof()
                assert await asked.stdout.read() == b"x" * 300_000
                assert seen == [FETCH, {"GIT_PROTOCOL": "version=1"}, "git"]
            said = await asked.stderr.read()
            await asked.wait_closed()
            ended = await hear_fields(line)
        if known:
            assert (said, asked.exit_status, ended) == (b"remote: hello\n", 7, {"status": "7", "reason": ""})
        else:
            assert (asked.exit_status, seen) == (1, [])
            assert b"Host key is not trusted" in said
            assert "Host key is not trusted" in str(ended["reason"])
        await line.wait_gone()

    talk(relay, talking)


def test_tunnels_and_all_else_are_refused_and_told(relay: Relay) -> None:
    async def talking(line: Line, client: asyncssh.SSHClientConnection) -> None:
        async def fails(tried: Awaitable[object]) -> str:
            with pytest.raises((asyncssh.Error, asyncssh.ChannelListenError)):
                await tried
            return str((await hear_fields(line))["what"])

        assert "tunnel device" in await fails(client.create_tun(asyncssh.SSHTunTapSession))
        assert "tunnel device" in await fails(client.create_tap(asyncssh.SSHTunTapSession))
        assert "10.0.0.1:22" in await fails(client.open_connection("10.0.0.1", 22))
        assert "socket /run/x" in await fails(client.open_unix_connection("/run/x"))
        assert "listener" in await fails(client.start_server(lambda *_: None, "", 8022))
        assert "listener" in await fails(client.start_unix_server(lambda: None, "/tmp/x"))
        assert "subsystem sftp" in await fails(client.start_sftp_client())
        assert "subsystem x" in await fails(client.create_process(subsystem="x"))
        shell = await client.create_process()
        assert "a shell" in str((await hear_fields(line))["what"])
        assert await shell.stderr.read() != ""
        asked = await ask(client)
        assert (await hear_fields(line))["command"] == FETCH
        second = await ask(client, "git-receive-pack 'org/other'")
        assert await hear_fields(line) == {"what": "a second command"}
        await second.wait_closed()
        line.say(Kind.NO, reason="no")  # the first one still waits
        assert b"no" in await asked.stderr.read()

    talk(relay, talking)


def test_a_flood_of_attempts_is_told_up_to_the_bound(relay: Relay) -> None:
    async def talking(line: Line, client: asyncssh.SSHClientConnection) -> None:
        for _ in range(2 * TRIED_MOST):
            with suppress(asyncssh.Error):
                await client.open_connection("10.0.0.1", 22)
        other = Talk(Side.PROXY)
        raw = await asyncio.get_running_loop().sock_recv(line.channel, 1 << 20)
        with pytest.raises(Exception, match=f"more than {TRIED_MOST}"):
            other.feed(raw)

    talk(relay, talking)


@pytest.mark.parametrize("raw", [b"X" * 9, b"T\0\0\0\2{}", b""])
def test_where_the_proxy_hangs_up_or_says_what_it_may_not_the_process_ends(relay: Relay, raw: bytes) -> None:
    async def talking(line: Line, client: asyncssh.SSHClientConnection) -> None:
        await ask(client)
        await hear_fields(line)
        if raw:
            line.channel.send(raw)
        else:
            line.channel.shutdown(socket.SHUT_RDWR)
        await client.wait_closed()
        assert line.outer.fileno() > 0
        with suppress(ConnectionError):
            assert await asyncio.get_running_loop().sock_recv(line.outer, 1) == b""

    talk(relay, talking)


def test_an_agent_that_leaves_midway_ends_the_process(relay: Relay) -> None:
    async def run() -> None:
        line = relay.connect()
        client = await asyncssh.run_client(
            line.inner,
            host="x",
            config=None,
            known_hosts=None,
            username="me",
            client_keys=None,
            agent_path=None,
        )
        await ask(client)
        await hear_fields(line)
        client.abort()
        await line.wait_gone()
        line.close()

    asyncio.run(run())


def test_garbage_ends_its_connection_and_no_other(relay: Relay) -> None:
    async def run() -> None:
        for raw in (b"", b"SSH-2.0-x\r\n" + bytes(5000), b"GET / HTTP/1.1\r\n\r\n", os.urandom(70_000)):
            line = relay.connect()
            with suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(line.inner, raw)
            line.inner.close()
            await line.wait_gone()
            line.close()

    asyncio.run(run())
    test_a_command_is_asked_for_and_a_refusal_is_told(relay)


def test_no_other_process_of_the_user_can_look_into_it(relay: Relay) -> None:
    """Its memory is not the user's to read; for root that is no matter."""
    assert os.stat(f"/proc/{relay.process.pid}/maps").st_uid == 0
    assert "NoNewPrivs:\t1" in Path(f"/proc/{relay.process.pid}/status").read_text()
