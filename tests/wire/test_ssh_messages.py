"""What both sides agree on, each algorithm that is refused, keys in and out of certificates, and our own words."""

from __future__ import annotations

import pytest
from tests.wire.ssh_specimens import CIPHER, ECDSA, ED25519, MAC, METHOD, RSA, key, offer, reply, vector

from trio_egress.errors import PeerError
from trio_egress.wire.ssh_messages import (
    BY_APPLICATION,
    Agreed,
    Proposal,
    Unfit,
    agree,
    is_identification,
    measure_packet,
    parse_proposal,
    parse_reply,
    render_disconnect,
    render_identification,
    unpack,
)

GCM, CHACHA = "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"
CERTIFIED = "-cert-v01@openssh.com"


def propose(*lists: str, **more: object) -> Proposal:
    return parse_proposal(unpack(offer(*lists, **more)))  # type: ignore[arg-type]


def agree_on(client: Proposal, server: Proposal | None = None) -> Agreed:
    return agree(client, server or client)


def test_the_clients_first_that_the_server_has_is_agreed_on() -> None:
    client = propose(f"ext-info-c,ecdh-sha2-nistp256,{METHOD}", f"{ECDSA},{ED25519}")
    server = propose(f"{METHOD},ecdh-sha2-nistp256,ext-info-c", f"{ED25519},{ECDSA}")
    assert agree_on(client, server) == Agreed("ecdh-sha2-nistp256", ECDSA, strict=False)
    assert agree_on(server, client) == Agreed(METHOD, ED25519, strict=False)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (propose("diffie-hellman-group1-sha1"), "key exchange by diffie-hellman-group1-sha1"),
        (propose("diffie-hellman-group14-sha1"), "key exchange by diffie-hellman-group14-sha1"),
        (propose("diffie-hellman-group-exchange-sha1"), "key exchange by diffie-hellman-group-exchange-sha1"),
        (propose("rsa2048-sha256"), "key exchange by rsa2048-sha256"),
        (propose("gss-curve25519-sha256-x"), "key exchange by gss-curve25519-sha256-x"),
        (propose("ext-info-c"), "key exchange by no algorithm that both sides have"),
        (propose(METHOD, "ssh-dss"), "a host key by ssh-dss"),
        (propose(METHOD, RSA), "a host key by ssh-rsa"),
        (propose(METHOD, RSA + CERTIFIED), "a host key by ssh-rsa-cert"),
        (propose(METHOD, "null"), "a host key by null"),
        (propose(METHOD, ""), "a host key by no algorithm"),
        (propose(METHOD, ED25519, "none"), "encryption by none"),
        (propose(METHOD, ED25519, "3des-cbc"), "encryption by 3des-cbc"),
        (propose(METHOD, ED25519, "arcfour256"), "encryption by arcfour256"),
        (propose(METHOD, ED25519, ""), "encryption by no algorithm"),
        (propose(METHOD, ED25519, CIPHER, "none"), "integrity by none"),
        (propose(METHOD, ED25519, CIPHER, "hmac-md5-96-etm@openssh.com"), "integrity by hmac-md5-96"),
        (propose(METHOD, ED25519, CIPHER, ""), "integrity by no algorithm"),
        (propose(METHOD, ED25519, CIPHER, MAC, down=("none", MAC)), "encryption by none"),
        (propose(METHOD, ED25519, CIPHER, MAC, down=(CIPHER, "none")), "integrity by none"),
    ],
)
def test_what_hides_or_weakens_is_refused(client: Proposal, reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        agree_on(client)
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("cipher", [GCM, CHACHA, "AEAD_AES_128_GCM"])
def test_a_cipher_with_its_own_integrity_needs_no_other(cipher: str) -> None:
    assert agree_on(propose(METHOD, ED25519, cipher, "")).method == METHOD


def test_strict_is_what_both_want() -> None:
    client = propose(f"{METHOD},kex-strict-c-v00@openssh.com")
    server = propose(f"{METHOD},kex-strict-s-v00@openssh.com")
    assert agree_on(client, server).strict
    assert not agree_on(client, propose()).strict
    assert not agree_on(propose(), server).strict


@pytest.mark.parametrize("lists", ["a,,b", ",a", "a,", "a b", "ä", "a" * 65, "\0"])
def test_lists_that_can_be_read_in_two_ways_are_refused(lists: str) -> None:
    with pytest.raises(PeerError, match="a list of algorithms that can't be read"):
        propose(lists)


@pytest.mark.parametrize(
    ("signer", "kind", "fields"),
    [
        (ED25519, ED25519, (b"k",)),
        (ECDSA, ECDSA, (b"nistp256", b"q")),
        ("rsa-sha2-256", RSA, (b"e", b"n")),
        ("rsa-sha2-512", RSA, (b"e", b"n")),
    ],
)
def test_a_certificate_shows_the_key_in_it(signer: str, kind: str, fields: tuple[bytes, ...]) -> None:
    plain = parse_reply(unpack(reply(key(kind, *fields), signer)), Agreed(METHOD, signer, strict=False))
    certificate = key(kind + CERTIFIED, b"nonce", *fields, b"all the rest")
    agreed = Agreed(METHOD, signer + CERTIFIED, strict=False)
    assert parse_reply(unpack(reply(certificate, signer)), agreed) == plain
    assert (plain.kind, plain.blob) == (kind, key(kind, *fields))


@pytest.mark.parametrize(
    ("blob", "signed", "agreed", "reason"),
    [
        (key(ECDSA, b"c", b"q"), ED25519, ED25519, "a host key that is not of ssh-ed25519"),
        (key(), "ssh-dss", ED25519, "a signature that is not of ssh-ed25519"),
        (key(RSA, b"e", b"n"), RSA, "rsa-sha2-512", "a signature that is not of rsa-sha2-512"),
        (key(), ED25519, ED25519 + CERTIFIED, "a host key that is not of ssh-ed25519-cert"),
        (key(ED25519 + CERTIFIED), ED25519, ED25519, "a host key that is not of ssh-ed25519,"),
    ],
)
def test_a_reply_of_another_type_than_agreed_is_refused(
    blob: bytes, signed: str, agreed: str, reason: str
) -> None:
    with pytest.raises(Unfit) as caught:
        parse_reply(unpack(reply(blob, signed)), Agreed(METHOD, agreed, strict=False))
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("text", ["", "a", "denied: no rule", "x" * 500, "a line\nand ü"])
def test_our_own_disconnect_is_a_packet_that_can_be_read(text: str) -> None:
    raw = render_disconnect(BY_APPLICATION, text)
    assert measure_packet(raw, 0) == len(raw)
    assert measure_packet(raw[:-1], 0) == 0
    payload = unpack(raw)
    said = text.replace("\n", "?").replace("ü", "?").encode()
    assert payload == b"\x01" + (11).to_bytes(4, "big") + vector(said) + vector(b"")


def test_our_own_identification_is_one() -> None:
    assert is_identification(render_identification("trio-egress"), of_server=True)
