"""Checks of values: right ones by programs and libraries that know the formats, wrong ones by a single character."""

from __future__ import annotations

import base64
import binascii
import json
import random
import subprocess
import zlib
from pathlib import Path

import pytest
import stdnum.iban
import stdnum.luhn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.content.vectors import BASE62, encode_base58check, encode_number, make_bytes

from trio_egress.content.checks import CHECKS, find_check


def test_a_check_has_a_name_and_another_name_is_an_error() -> None:
    assert find_check("luhn") is CHECKS["luhn"]
    with pytest.raises(LookupError):
        find_check("rot13")


@given(st.sampled_from(sorted(CHECKS)), st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_check_raises_and_what_is_nothing_is_refused(name: str, value: bytes) -> None:
    assert find_check(name)(value) in (True, False)
    assert name == "gitlab-routable" or not find_check(name)(b"")


@given(st.text("0123456789", min_size=12, max_size=19))
def test_luhn_is_that_of_stdnum(digits: str) -> None:
    varied = len(set(digits)) > 2
    assert find_check("luhn")(digits.encode()) == (stdnum.luhn.is_valid(digits) and varied)


def test_a_card_may_have_spaces_and_hyphens_and_not_too_many_digits() -> None:
    number = "".join(random.Random(4).choices("0123456789", k=15))
    card = number + stdnum.luhn.calc_check_digit(number)
    assert find_check("luhn")(f"{card[:4]} {card[4:8]}-{card[8:]}".encode())
    assert not find_check("luhn")(b"0" * 16)
    assert not find_check("luhn")(card[:11].encode())


@pytest.mark.parametrize("country", ["DE", "GB", "FR", "NL", "CH", "NO", "PL", "AT", "IT", "SE"])
def test_an_iban_is_one_of_stdnum(country: str) -> None:
    source, lengths = random.Random(country), {"DE": 22, "GB": 22, "FR": 27, "NL": 18, "CH": 21, "NO": 15}
    lengths |= {"PL": 28, "AT": 20, "IT": 27, "SE": 24}
    account = "".join(source.choice("0123456789") for _ in range(lengths[country] - 4))
    iban = f"{country}{stdnum.iban.calc_check_digits(f'{country}00{account}')}{account}"
    assert find_check("iban")(iban.encode())
    assert find_check("iban")(f"{iban[:4]} {iban[4:8]} {iban[8:]}".lower().encode())
    wrong = f"{iban[:-1]}{(int(iban[-1]) + 1) % 10}"
    assert not find_check("iban")(wrong.encode())
    assert not find_check("iban")(iban[:-1].encode())


def make_keys() -> list[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey]:
    return [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ]


KEYS = make_keys()


NO_PASSWORD = serialization.NoEncryption()
PASSWORD = serialization.BestAvailableEncryption(b"correct horse")


@pytest.mark.parametrize(
    ("form", "cipher"),
    [
        (serialization.PrivateFormat.TraditionalOpenSSL, NO_PASSWORD),
        (serialization.PrivateFormat.TraditionalOpenSSL, PASSWORD),
        (serialization.PrivateFormat.PKCS8, NO_PASSWORD),
        (serialization.PrivateFormat.PKCS8, PASSWORD),
        (serialization.PrivateFormat.OpenSSH, NO_PASSWORD),
    ],
)
def test_private_keys_of_cryptography_are_private_keys(
    form: serialization.PrivateFormat, cipher: serialization.KeySerializationEncryption
) -> None:
    for key in KEYS:
        if (
            isinstance(key, ed25519.Ed25519PrivateKey)
            and form is serialization.PrivateFormat.TraditionalOpenSSL
        ):
            continue
        pem = key.private_bytes(serialization.Encoding.PEM, form, cipher)
        check = find_check("pem")
        assert check(pem)
        assert check(pem.replace(b"\n", b"\\n")), "escaped, as in JSON"
        assert check(pem.replace(b"\n", b"\r\n"))
        assert check(pem[: len(pem) * 2 // 3]), "cut off"
        assert not check(pem[:60])


def test_a_public_key_and_a_text_are_no_private_keys() -> None:
    check = find_check("pem")
    public = (
        KEYS[0]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert not check(b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(b"not a key, " * 20))
    assert not check(b"no key at all")
    assert check(public), "which is why patterns name what is private"


@pytest.mark.programs
def test_keys_that_ssh_keygen_gpg_and_openssl_make_are_private_keys(tmp_path: Path) -> None:
    check = find_check("pem")
    for kind in ("rsa", "ed25519", "ecdsa"):
        file = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file], check=True)
        assert check(file.read_bytes())
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519"], capture_output=True, check=True)
    assert check(made.stdout)
    assert check(
        subprocess.run(
            ["openssl", "ec", "-aes128", "-passout", "pass:abcd"],
            input=subprocess.run(
                ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"],
                capture_output=True,
                check=True,
            ).stdout,
            capture_output=True,
            check=True,
        ).stdout
    )


def test_a_key_of_bitcoin_has_its_version_its_length_and_its_checksum() -> None:
    check, key = find_check("wif"), make_bytes(32)(random.Random(1))
    assert check(encode_base58check(b"\x80" + key).encode())
    assert check(encode_base58check(b"\xef" + key + b"\1").encode())
    for wrong in (b"\0" + key, b"\x80" + key + b"\2", b"\x80" + key + b"\1\1"):
        assert not check(encode_base58check(wrong).encode())


def test_an_extended_key_is_a_private_one() -> None:
    check, source = find_check("extended-key"), random.Random(2)
    head, key = make_bytes(45)(source), make_bytes(32)(source)
    assert check(encode_base58check(head + b"\0" + key).encode())
    assert not check(encode_base58check(head + b"\2" + key).encode())
    assert not check(encode_base58check(head + key).encode())


def test_the_checksum_of_a_token_is_over_its_body_alone() -> None:
    """The digits of CRC-32 of "hello" (0x3610a686) in base 62, worked out by hand: 0zNvy2."""
    check = find_check("crc62")
    assert check(b"ab_hello0zNvy2")
    assert not check(b"ab_hello0zNvy3")
    assert not check(b"ab_" + b"0zNvy2")


def test_a_routable_token_without_a_version_is_let_by() -> None:
    assert find_check("gitlab-routable")(b"glpat-payload.0w1234567")
    assert not find_check("gitlab-routable")(b"glpat-payload.01.0w1234567")


def test_a_token_of_grafana_ends_in_the_checksum_of_all_before_it() -> None:
    check = find_check("grafana")
    assert check(b"hello_" + (0x3610A686).to_bytes(4, "little").hex().encode())
    assert not check(b"hello_3610a686")


def test_base64_of_a_length_is_not_text() -> None:
    check, raw = find_check("base64-32"), make_bytes(32)(random.Random(3))
    assert check(base64.b64encode(raw))
    assert not check(base64.b64encode(raw + b"a"))
    assert not check(base64.b64encode(b"a text of thirty-two characters!"))
    assert not check(b"?" * 44)


def test_a_seed_of_stellar_has_its_version_and_its_checksum() -> None:
    """The first example of SEP 23, which is a public key: the same form, of another version."""
    check = find_check("stellar-seed")
    public = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJ" + "VSGZ"
    assert not check(public.encode())
    raw = bytearray(base64.b32decode(public))
    assert binascii.crc_hqx(bytes(raw[:-2]), 0) == int.from_bytes(raw[-2:], "little"), (
        "the checksum is that of SEP 23"
    )
    raw[0] = 0x90
    raw[-2:] = binascii.crc_hqx(bytes(raw[:-2]), 0).to_bytes(2, "little")
    assert check(base64.b32encode(raw))
    raw[-1] ^= 1
    assert not check(base64.b32encode(raw))


def in_parts(*members: object) -> list[bytes]:
    return [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in members]


@pytest.mark.parametrize(
    ("text", "whether"),
    [
        (b"user:password", True),
        (b"user:abc", False),
        (b"user", False),
        (b"a b:password", False),
        (b"u:\npassword", False),
    ],
)
def test_basic_credentials_are_a_user_and_a_password(text: bytes, whether: bool) -> None:
    assert find_check("basic")(base64.b64encode(text)) == whether
    assert not find_check("basic")(b"?")


def test_a_token_of_discord_begins_with_an_account() -> None:
    check = find_check("discord")
    assert check(base64.b64encode(b"1" * 18) + b".abcdef.rest")
    assert not check(base64.b64encode(b"1" * 9) + b".abcdef.rest")
    assert not check(base64.b64encode(b"a" * 18) + b".abcdef.rest")


def test_a_macaroon_has_a_location_that_is_a_host() -> None:
    check, rest = find_check("macaroon"), make_bytes(60)(random.Random(5))
    assert check(b"p-" + base64.urlsafe_b64encode(b"\x02\x01\x08py.testx" + rest))
    assert not check(b"p-" + base64.urlsafe_b64encode(b"\x02\x01\x08pytestxx" + rest))
    assert not check(b"p-" + base64.urlsafe_b64encode(b"\x02\x02\x08py.testx" + rest))
    assert not check(b"p-" + base64.urlsafe_b64encode(b"\x02\x01\x08py.testx"))


def test_what_is_mixed_has_digits_and_is_no_path() -> None:
    check = find_check("mixed")
    assert check(b"abc1def")
    for wrong in (b"abcdef", b"123456", b"/a/b1", b"./a1", b"~/a1", b"https://a1"):
        assert not check(wrong)


def test_a_password_is_no_words_in_base64() -> None:
    check = find_check("no-words")
    assert not check(base64.b64encode(b"not my real word"))
    for right in (
        b"q9-Zx/7vLp2=",
        base64.b64encode(b"q9Zx7vLp2"),
        base64.b64encode(b"q9 Zx\x917vLp2"),
        b"q w!e r",
    ):
        assert check(right)


def test_checks_of_single_services_know_their_own_place_of_the_checksum() -> None:
    assert find_check("vercel")(b"v_a_hello" + crc62(b"a_hello"))
    assert not find_check("vercel")(b"v_a_hello" + crc62(b"hello"))
    assert find_check("zuplo")(b"z_hello_3610a686")
    assert not find_check("zuplo")(b"z_hello_3610a687")
    assert find_check("aws-key-id")(b"AKIA" + b"ABCDEFGHIJKLMNOP")
    assert not find_check("aws-key-id")(b"AKIA" + b"A" * 16)
    assert not find_check("aws-key-id")(b"AKIA" + b"ABCDEFGHIJKLMNO1")


def crc62(body: bytes) -> bytes:
    return encode_number(zlib.crc32(body), BASE62, 6).encode()


@pytest.mark.programs
def test_a_key_that_minisign_made_is_found(tmp_path: Path) -> None:
    subprocess.run(
        ["minisign", "-G", "-W", "-p", tmp_path / "key.pub", "-s", tmp_path / "key"],
        capture_output=True,
        check=True,
    )
    comment, key, *_ = (tmp_path / "key").read_bytes().split(b"\n")
    assert b"secret key" in comment
    assert find_check("minisign")(key)
    public = (tmp_path / "key.pub").read_bytes().split(b"\n")[1]
    assert not find_check("minisign")(public)
