"""Values of the forms that detectors look for, made from parts with a seeded generator: none of them is a real one.

No value stands here as a whole, and no prefix that a push protection would stop stands here in one piece.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs

Random = random.Random
Make = Callable[[Random], str]

HEX = "0123456789abcdef"
UPPER_HEX = "0123456789ABCDEF"
DIGITS = string.digits
LETTERS = string.ascii_letters
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
ALNUM = LETTERS + DIGITS
URL = ALNUM + "_-"
BASE64 = ALNUM + "+/"
BASE32 = string.ascii_uppercase + "234567"
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
BASE36 = string.digits + string.ascii_lowercase


@attrs.frozen
class Form:
    """What a detector finds. `value`: what is to be found; `text`: what it stands in, with `{}` for it.

    `wrong`: values that look like it and aren't, beside those that `spoil` makes of every one.
    """

    value: Make
    text: str = "{}"
    wrong: tuple[Make, ...] = ()


def pick(chars: str, size: int, most: int = 0) -> Make:
    """So many characters; with `most`, some number up to that. All kinds that may be in it, are."""

    def make(source: Random) -> str:
        length = source.randint(size, most) if most else size
        return "".join(source.choice(chars) for _ in range(length))

    return make


def join(*parts: str | Make) -> Make:
    """One after another: what is a text stands as it is."""
    return lambda source: "".join(part if isinstance(part, str) else part(source) for part in parts)


def one_of(*makes: str | Make) -> Make:
    def make(source: Random) -> str:
        made = source.choice(makes)
        return made if isinstance(made, str) else made(source)

    return make


def encode_number(number: int, digits: str, width: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
    return text.rjust(width, digits[0])


def with_crc62(prefix: str, body: Make) -> Make:
    def make(source: Random) -> str:
        text = body(source)
        return prefix + text + encode_number(zlib.crc32(text.encode()), BASE62, 6)

    return make


def flip_last(make: Make) -> Make:
    """The same with another last character."""

    def flip(source: Random) -> str:
        text = make(source)
        return text[:-1] + ("a" if text[-1] != "a" else "b")

    return flip


def with_gitlab_crc(source: Random) -> str:
    payload = pick(URL, 30, 60)(source)
    text = f"{'glp' + 'at-'}{payload}.01.{pick(BASE36, 2)(source)}"
    return text + encode_number(zlib.crc32(text.encode()), BASE36, 7)


def make_bytes(size: int) -> Callable[[Random], bytes]:
    return lambda source: bytes(source.randrange(256) for _ in range(size))


def in_base64(make: Callable[[Random], bytes], *, url: bool = False, pad: bool = True) -> Make:
    def encode(source: Random) -> str:
        raw = make(source)
        text = (base64.urlsafe_b64encode if url else base64.b64encode)(raw).decode()
        return text if pad else text.rstrip("=")

    return encode


def in_json(members: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")


def make_jwt(source: Random) -> str:
    header = in_json({"alg": source.choice(("HS256", "RS256", "ES256")), "typ": "JWT"})
    claims = in_json({"sub": pick(DIGITS, 10)(source), "iat": source.randrange(10**9, 2 * 10**9)})
    return f"{header}.{claims}.{pick(URL, 43)(source)}"


def make_unsigned_jwt(source: Random) -> str:
    return f"{in_json({'alg': 'none', 'typ': 'JWT'})}.{make_jwt(source).partition('.')[2]}"


def make_macaroon(source: Random) -> str:
    raw = b"\x02\x01\x0fpy.example.test" + make_bytes(90)(source)
    return "py" + "pi-" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def make_pem(label: str, head: bytes, size: int, *, width: int = 64, ending: str = "\n") -> Make:
    def make(source: Random) -> str:
        body = base64.b64encode(head + make_bytes(size)(source)).decode()
        lines = [body[at : at + width] for at in range(0, len(body), width)]
        return ending.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"])

    return make


def encode_bech32(prefix: str, data: bytes) -> str:
    """BIP 173, from its own description."""
    chars = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    number = int.from_bytes(data, "big") << (-8 * len(data) % 5)
    count = (8 * len(data) + 4) // 5
    values = [number >> 5 * (count - 1 - place) & 31 for place in range(count)]
    checked = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix] + values
    checksum = 1
    for value in [*checked, 0, 0, 0, 0, 0, 0]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= factor if top >> place & 1 else 0
    checksum ^= 1
    values += [checksum >> 5 * (5 - place) & 31 for place in range(6)]
    return f"{prefix}1" + "".join(chars[value] for value in values)


def encode_base58check(body: bytes) -> str:
    digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    raw = body + hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + encode_number(int.from_bytes(raw, "big"), digits, 0)


def make_age(source: Random) -> str:
    return encode_bech32("age-secret-key-", make_bytes(32)(source)).upper()


def swap_two(make: Make) -> Make:
    """The same with two neighbours exchanged that differ, near its end."""

    def swap(source: Random) -> str:
        text = make(source)
        at = next(
            at
            for at in range(len(text) - 3, 0, -1)
            if text[at] != text[at + 1] and text[at : at + 2].isalnum()
        )
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]

    return swap


PEM_RSA = b"\x30\x82\x04\xa4"
OPENSSH = b"openssh-key-v1\0"

_CRC = {name: with_crc62(f"gh{name}" + "_", pick(ALNUM, 30)) for name in "pou"}
_NPM = with_crc62("np" + "m_", pick(ALNUM, 30))

FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "github-token": Form(_CRC["p"], wrong=(flip_last(_CRC["p"]),)),
        "github-oauth-token": Form(_CRC["o"], wrong=(flip_last(_CRC["o"]),)),
        "github-user-token": Form(_CRC["u"], wrong=(flip_last(_CRC["u"]),)),
        "github-refresh-token": Form(join("gh" + "r_", pick(ALNUM, 36, 76))),
        "github-server-token": Form(join("gh" + "s_", pick(ALNUM, 36))),
        "github-fine-grained-token": Form(join("github" + "_pat_", pick(ALNUM, 22), "_", pick(ALNUM, 59))),
        "gitlab-routable-token": Form(with_gitlab_crc, wrong=(flip_last(with_gitlab_crc),)),
        "gitlab-token": Form(join("gl" + "pat-", pick(URL, 20))),
        "gitlab-deploy-token": Form(join("gl" + "dt-", pick(URL, 20))),
        "gitlab-runner-token": Form(join("gl" + "rt-", one_of("", "t1_"), pick(URL, 20))),
        "gitlab-trigger-token": Form(join("gl" + "ptt-", pick(HEX, 40))),
        "gitlab-job-token": Form(join("gl" + "cbt-", pick(HEX, 2), "_", pick(URL, 20))),
        "atlassian-api-token": Form(join("ATATT3x" + "FfGF0", pick(URL, 170), "=", pick(UPPER_HEX, 8))),
        "bitbucket-access-token": Form(join("ATCTT3x" + "FfGN0", pick(URL, 150), "=", pick(UPPER_HEX, 8))),
        "bitbucket-app-password": Form(join("AT" + "BB", pick(ALNUM, 24), pick(UPPER_HEX, 8))),
        "npm-token": Form(_NPM, wrong=(flip_last(_NPM),)),
        "pypi-token": Form(make_macaroon, wrong=(join("py" + "pi-AgE", pick(URL, 100)),)),
        "rubygems-token": Form(join("ruby" + "gems_", pick(HEX, 48))),
        "crates-token": Form(join("ci" + "o", pick(ALNUM, 32))),
        "nuget-key": Form(join("oy" + "2", pick(LOWER, 43))),
        "docker-token": Form(join("dckr" + "_pat_", pick(URL, 27))),
        "docker-organization-token": Form(join("dckr" + "_oat_", pick(URL, 32))),
        "aws-key-id": Form(join(one_of("AK" + "IA", "AS" + "IA"), pick(BASE32, 16))),
        "aws-secret-key": Form(in_base64(make_bytes(30)), 'aws_secret_access_key = "{}"\n'),
        "aws-session-token": Form(join("IQoJb3Jp" + "Z2luX2Vj", pick(BASE64, 400), "==")),
        "google-api-key": Form(join("AI" + "za", pick(URL, 35))),
        "anthropic-key": Form(join("sk-" + "ant-api03-", pick(URL, 93), "AA")),
        "openai-key": Form(
            join(
                "sk-",
                one_of("proj", "svcacct", "admin"),
                "-",
                pick(URL, 74),
                "T3Blbk" + "FJ",
                pick(ALNUM, 74),
            )
        ),
        "openai-user-key": Form(join("sk-", pick(ALNUM, 20), "T3Blbk" + "FJ", pick(ALNUM, 20))),
        "huggingface-token": Form(join("h" + "f_", pick(LETTERS, 34))),
        "slack-bot-token": Form(
            join("xo" + "xb-", pick(DIGITS, 12), "-", pick(DIGITS, 12), "-", pick(ALNUM, 24))
        ),
        "stripe-live-key": Form(join(one_of("sk", "rk"), "_li" + "ve_", pick(ALNUM, 24, 99))),
        "private-key": Form(
            one_of(
                make_pem("RSA PRIVATE KEY", PEM_RSA, 1100),
                make_pem("EC PRIVATE KEY", b"\x30\x77\x02\x01\x01", 116),
                make_pem("PRIVATE KEY", PEM_RSA, 1200, ending="\\n"),
                make_pem("ENCRYPTED PRIVATE KEY", b"\x30\x82\x05\x30", 1200, ending="\r\n"),
            ),
            wrong=(make_pem("PRIVATE KEY", b"text", 100), make_pem("PUBLIC KEY", PEM_RSA, 200)),
        ),
        "openssh-private-key": Form(
            make_pem("OPENSSH PRIVATE KEY", OPENSSH, 300, width=70),
            wrong=(make_pem("OPENSSH PRIVATE KEY", b"none", 300),),
        ),
        "age-identity": Form(make_age, wrong=(swap_two(make_age),)),
        "json-web-token": Form(make_jwt, wrong=(make_unsigned_jwt,)),
    }
)
"""By the names of the detectors."""


def make_positives(name: str, count: int = 4) -> list[tuple[str, str]]:
    """Texts with the value in each."""
    form, source = FORMS[name], Random(f"{name} found")
    values = [form.value(source) for _ in range(count)]
    return [(form.text.replace("{}", value), value) for value in values]


def make_negatives(name: str) -> list[str]:
    """Texts that look like it, in which no such value stands: placeholders, ones too short, ones within a word, …"""
    form, source = FORMS[name], Random(f"{name} not found")
    values = [make(source) for make in (form.value, *form.wrong)]
    spoilt = [*values[1:], *spoil(values[0])]
    return [form.text.replace("{}", value) for value in spoilt]


def spoil(value: str) -> list[str]:
    """A placeholder in its place, its beginning alone, and the same without its letters."""
    start = len(value) // 3
    return [
        "".join("x" if char.isalnum() else char for char in value),
        value[: max(4, min(start, 12))],
        value[:4] + "".join("0" if char.isalnum() else char for char in value[4:]),
        "<your token>",
        "${TOKEN}",
    ]
