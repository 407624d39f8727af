"""Key exchanges of real clients and servers, and broken ones: every split, every state, every limit."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.wire.ssh_specimens import (
    LINE,
    STRICT,
    key,
    note,
    offer,
    packet,
    part,
    read_corpus,
    reply,
)

from trio_egress.errors import PeerError
from trio_egress.wire.ssh import CLEAR_BYTES, PARTS, TABLE, Event, KeyExchange, Side, Stage
from trio_egress.wire.ssh_messages import LINE_BYTES, REPLIES, Unfit

CLIENT, SERVER = Side.CLIENT, Side.SERVER
ED, ECDSA, RSA = (
    "SHA256:E9M3ktL0LQ9wnhdO9z8dN98cUipfzunKvkhR7p92yZI",
    "SHA256:har7pXuYPoR79FDucO8luodgVwQYy6fiYfEZrWbU6fA",
    "SHA256:SOVQHfwb8KFz1DDx68vZqWoh2iPrBhyABJL4Li8jByw",
)
"""As `ssh-keygen -l` told of the keys of that sshd."""
CAPTURED = {
    "dropbear": ED,
    "openssh": ED,
    "openssh-certificate": ED,
    "openssh-curve25519-sha256": ED,
    "openssh-diffie-hellman-group-exchange-sha256": ED,
    "openssh-diffie-hellman-group14-sha256": ED,
    "openssh-diffie-hellman-group16-sha512": ED,
    "openssh-ecdh-sha2-nistp384": ED,
    "openssh-ecdsa": ECDSA,
    "openssh-rsa": RSA,
}
UNFIT = {
    "openssh-sha1-exchange": "diffie-hellman-group14-sha1",
    "openssh-sha1-signature": "a host key by ssh-rsa",
}
GROUP_METHOD = "diffie-hellman-group-exchange-sha256"

Said = Iterable[tuple[Side, bytes]]


def follow(*said: tuple[Side, bytes]) -> KeyExchange:
    exchange = KeyExchange()
    for side, raw in said:
        exchange.feed(side, raw)
    return exchange


def refuse(*said: tuple[Side, bytes]) -> str:
    """The last of what is said is what is refused."""
    exchange = follow(*said[:-1])
    with pytest.raises(PeerError) as caught:
        exchange.feed(*said[-1])
    return str(caught.value)


def opened(client: bytes | None = None, server: bytes | None = None) -> list[tuple[Side, bytes]]:
    """Up to both offers."""
    return [(CLIENT, LINE), (SERVER, LINE), (CLIENT, client or offer()), (SERVER, server or offer())]


@pytest.mark.parametrize("name", CAPTURED)
def test_the_key_of_a_real_server_is_found_and_its_reply_held_back(name: str) -> None:
    client, server = read_corpus(name)
    exchange = KeyExchange()
    assert exchange.feed(CLIENT, client) == client
    passed = exchange.feed(SERVER, server)
    assert exchange.host_key is not None
    assert exchange.host_key.fingerprint == CAPTURED[name]
    assert server.startswith(passed)
    held = server[len(passed) :]
    assert held[5] in (31, 33)
    assert exchange.feed(SERVER, b"more") == b""
    exchange.release()
    assert exchange.feed(SERVER, b"!") == held + b"more!"


@pytest.mark.parametrize("name", UNFIT)
def test_sha1_of_a_real_server_is_refused(name: str) -> None:
    client, server = read_corpus(name)
    exchange = KeyExchange()
    exchange.feed(CLIENT, client)
    with pytest.raises(Unfit, match=UNFIT[name]):
        exchange.feed(SERVER, server)


@pytest.mark.parametrize("name", ["openssh-curve25519-sha256", "openssh-certificate", "dropbear"])
@pytest.mark.parametrize("first", [CLIENT, SERVER])
def test_every_split_of_either_side_means_the_same(name: str, first: Side) -> None:
    client, server = read_corpus(name)
    whole = {CLIENT: client, SERVER: server}
    for at in range(len(whole[first])):
        exchange = KeyExchange()
        passed = {CLIENT: b"", SERVER: b""}
        pieces = [(CLIENT, client)] if first is SERVER else [(CLIENT, client[:at]), (CLIENT, client[at:])]
        pieces += [(SERVER, server)] if first is CLIENT else [(SERVER, server[:at]), (SERVER, server[at:])]
        for side, raw in pieces:
            passed[side] += exchange.feed(side, raw)
        assert exchange.host_key is not None, at
        assert exchange.host_key.fingerprint == CAPTURED[name]
        assert passed[CLIENT] == client
        exchange.release()
        assert passed[SERVER] + exchange.feed(SERVER, b"") == server


@pytest.mark.parametrize("name", ["openssh-curve25519-sha256", "openssh-certificate"])
def test_no_key_is_found_in_a_reply_that_is_cut_short(name: str) -> None:
    client, server = read_corpus(name)
    for size in range(len(server)):
        assert follow((CLIENT, client), (SERVER, server[:size])).host_key is None, size


def test_byte_by_byte_is_the_same_and_nothing_goes_on_in_parts() -> None:
    client, server = read_corpus("openssh-diffie-hellman-group-exchange-sha256")
    exchange = KeyExchange()
    units = [unit for raw in client for unit in [exchange.feed(CLIENT, bytes((raw,)))] if unit]
    assert b"".join(units) == client
    assert len(units) == 4  # its line, its offer, what group it wants, its share
    units = [unit for raw in server for unit in [exchange.feed(SERVER, bytes((raw,)))] if unit]
    assert len(units) == 3  # its line, its offer, the group
    assert exchange.host_key is not None


@pytest.mark.parametrize("method", REPLIES)
def test_each_method_shows_its_key(method: str) -> None:
    said = [*opened(offer(method), offer(method)), (CLIENT, part())]
    if method == GROUP_METHOD:
        said += [(SERVER, part(31)), (CLIENT, part(32)), (SERVER, reply(number=33))]
    else:
        said += [(SERVER, reply())]
    exchange = follow(*said)
    assert exchange.host_key is not None
    assert exchange.agreed is not None
    assert exchange.agreed.method == method


def test_the_table_has_a_way_to_the_key_and_only_that() -> None:
    led = {stage for (side, _, _), stage in TABLE.items() if side is SERVER}
    assert led == {Stage.OFFER, Stage.GROUP, Stage.REPLY, Stage.SHOWN}
    assert not any(stage is Stage.SHOWN for _, stage, _ in TABLE)
    assert all(event is Event.LINE for _, stage, event in TABLE if stage is Stage.LINE)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([(CLIENT, b"SSH-1.5-x\r\n")], "the client doesn't identify itself as SSH-2.0"),
        ([(CLIENT, b"SSH-1.99-x\r\n")], "the client doesn't identify itself as SSH-2.0"),
        ([(CLIENT, b"hello\r\n")], "the client doesn't identify itself as SSH-2.0"),
        ([(SERVER, b"SSH-1.5-x\r\n")], "the server doesn't identify itself as SSH-2.0"),
        ([(SERVER, b"SSH-2.0-\x01\r\n")], "the server doesn't identify itself as SSH-2.0"),
        ([(SERVER, b"a\rSSH-2.0-x\n")], "the server doesn't identify itself as SSH-2.0"),
        ([(SERVER, b"x" * LINE_BYTES)], "a line of more than 255 bytes"),
        ([(SERVER, b"x\n" * (CLEAR_BYTES // 2)), (SERVER, b"x")], "more than 131072 bytes of the server"),
        ([(CLIENT, LINE), (CLIENT, b"\0\0\0\x07")], "a packet of 11 bytes"),
        ([(CLIENT, LINE), (CLIENT, b"\0\0\0\x08")], "a packet of 12 bytes"),
        ([(CLIENT, LINE), (CLIENT, (35004).to_bytes(4, "big"))], "a packet of 35008 bytes"),
        ([(CLIENT, LINE), (CLIENT, packet(b"")[:4] + b"\x03" + bytes(11))], "with a padding of 3"),
        ([(CLIENT, LINE), (CLIENT, packet(b""))], "a packet of 16 bytes with a padding of 11"),
        ([(CLIENT, LINE), (CLIENT, b"\0\0\0\x0c\xff" + bytes(11))], "with a padding of 255"),
        ([(CLIENT, LINE), (CLIENT, part())], "a part of the key exchange of the client, expected its alg"),
        ([(CLIENT, LINE), (CLIENT, offer()), (CLIENT, offer())], "a list of algorithms of the client"),
        ([(CLIENT, LINE), (CLIENT, offer()), (CLIENT, packet(b"\x15"))], "message 21 of the client"),
        ([(CLIENT, LINE), (CLIENT, offer()), (CLIENT, packet(b"\x05"))], "message 5 of the client"),
        ([(CLIENT, LINE), (CLIENT, offer()), (CLIENT, part() * (PARTS + 1))], "more than 4 messages"),
        ([(SERVER, LINE), (SERVER, offer()), (SERVER, reply())], "the server replied before it was asked"),
        ([*opened(), (SERVER, offer())], "a list of algorithms of the server, expected its host key"),
        ([*opened(), (SERVER, packet(b"\x15"))], "message 21 of the server"),
        ([*opened(), (SERVER, reply(number=33))], "message 33 of the server, expected 31"),
        ([*opened(offer(GROUP_METHOD), offer(GROUP_METHOD)), (SERVER, part(33))], "message 33 of the server"),
        (
            [*opened(offer(GROUP_METHOD), offer(GROUP_METHOD)), (SERVER, part(31)), (SERVER, reply())],
            "message 31 of the server, expected 33",
        ),
        ([*opened(), (SERVER, reply(rest=b"x"))], "1 bytes too many"),
        ([*opened(), (SERVER, reply(key() + b"x"))], "SSH: the host key has 1 bytes too many"),
        ([*opened(), (SERVER, packet(b"\x1f"))], "cut short"),
    ],
)
def test_what_does_not_belong_there_is_refused(said: list[tuple[Side, bytes]], reason: str) -> None:
    assert reason in refuse(*said)


def test_lines_of_welcome_and_an_end_without_a_return_are_read() -> None:
    exchange = KeyExchange()
    welcome = b"Welcome\r\nto you\nSSH-1.99-x\n"
    assert exchange.feed(SERVER, welcome) == welcome
    assert exchange.has_identified(SERVER)
    assert not exchange.has_identified(CLIENT)


def test_a_server_that_guesses_is_refused_since_its_guess_would_not_count() -> None:
    """OpenSSH's client skips the next packet then: a pinned key in it would be judged, and another one used."""
    with pytest.raises(Unfit, match="the server guesses"):
        follow(*opened(server=offer(f"ecdh-sha2-nistp256,{'curve25519-sha256'}", guesses=True)))


def test_a_client_that_guesses_is_followed() -> None:
    said = opened(offer("ecdh-sha2-nistp256,curve25519-sha256", guesses=True))
    said[3:3] = [(CLIENT, part())]
    assert follow(*said, (CLIENT, part()), (SERVER, reply())).host_key is not None


@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize("place", [2, 3, 4])
def test_messages_that_change_nothing_pass_unless_both_are_strict(number: int, place: int) -> None:
    for side in (CLIENT, SERVER):
        loose = [*opened(), (CLIENT, part()), (SERVER, reply())]
        loose[place:place] = [(side, note(number))]
        assert follow(*loose).host_key is not None
        strict = [
            *opened(*(offer(f"curve25519-sha256,{marker}") for marker in STRICT)),
            (CLIENT, part()),
            (SERVER, reply()),
        ]
        strict[place:place] = [(side, note(number))]
        with pytest.raises(PeerError, match="that both sides want strict"):
            follow(*strict)


def test_a_server_that_disconnects_may_say_so() -> None:
    said = opened(*(offer(f"curve25519-sha256,{marker}") for marker in STRICT))
    exchange = follow(*said)
    assert exchange.feed(SERVER, note(1)) == note(1)
    assert exchange.host_key is None


def test_what_a_client_says_after_its_part_waits_with_the_reply() -> None:
    exchange = follow(*opened(), (CLIENT, part()), (SERVER, reply()))
    assert exchange.feed(CLIENT, b"anything") == b""
    exchange.release()
    assert exchange.feed(CLIENT, b"!") == b"anything!"
    assert exchange.feed(SERVER, b"") == reply()


def test_nothing_is_released_before_a_key_was_shown() -> None:
    with pytest.raises(ValueError, match="no host key was shown"):
        follow(*opened()).release()
