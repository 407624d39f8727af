"""Values of the forms that detectors look for, made from parts with a seeded generator: none of them is a real one.

No value stands here as a whole, and no prefix that a push protection would stop stands here in one piece.
"""

from __future__ import annotations

import base64
import binascii
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


def make_uuid(source: Random) -> str:
    return "-".join(pick(HEX, size)(source) for size in (8, 4, 4, 4, 12))


def make_basic(source: Random) -> str:
    return base64.b64encode(f"{pick(LOWER, 6)(source)}:{pick(ALNUM, 18)(source)}".encode()).decode()


def make_discord(source: Random) -> str:
    number = "1" + pick(DIGITS, 17)(source)
    return ".".join(
        [base64.b64encode(number.encode()).decode(), pick(ALNUM, 6)(source), pick(ALNUM, 38)(source)]
    )


def make_grafana(source: Random) -> str:
    text = f"{'gl' + 'sa_'}{pick(ALNUM, 32)(source)}"
    return f"{text}_{zlib.crc32(text.encode()).to_bytes(4, 'little').hex()}"


def make_zuplo(source: Random) -> str:
    body = pick(LOWER, 32)(source)
    return f"{'zp' + 'ka_'}{body}_{zlib.crc32(body.encode()):08x}"


def make_pgp(source: Random) -> str:
    raw = b"\x95\x03\x98\x04" + make_bytes(900)(source)
    body = base64.b64encode(raw).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    begin, end = (f"-----{word} PGP PRIVATE KEY BLOCK-----" for word in ("BEGIN", "END"))
    return "\n".join([begin, "", *lines, "=" + pick(ALNUM, 4)(source), end])


def make_putty(source: Random) -> str:
    public, private = (in_base64(make_bytes(size))(source) for size in (96, 48))
    head = ["PuTTY-User-Key-" + "File-3: ssh-ed25519", "Encryption: none", "Comment: mine", "Public-Lines: 2"]
    return "\n".join([*head, public[:64], public[64:], "Private-Lines: 1", private])


def make_wif(source: Random) -> str:
    return encode_base58check(b"\x80" + make_bytes(32)(source) + b"\1")


def make_xprv(source: Random) -> str:
    return encode_base58check(
        bytes.fromhex("0488ade4") + make_bytes(41)(source) + b"\0" + make_bytes(32)(source)
    )


def make_stellar(source: Random) -> str:
    body = b"\x90" + make_bytes(32)(source)
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode()


def make_nostr(source: Random) -> str:
    return encode_bech32("nsec", make_bytes(32)(source))


def make_jwe(source: Random) -> str:
    header = in_json({"alg": "RSA-OAEP", "enc": "A256GCM"})
    return ".".join([header, *(pick(ALNUM, size)(source) for size in (342, 16, 80, 22))])


def make_card(source: Random) -> str:
    number = "4" + "".join(source.choices(DIGITS, k=14))
    doubled = sum(sum(divmod(int(digit) * 2, 10)) for digit in number[::-2]) + sum(
        int(d) for d in number[-2::-2]
    )
    return f"{number}{-doubled % 10}"


def make_iban(source: Random) -> str:
    account = "".join(source.choices(DIGITS, k=18))
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


def flip_digit(make: Make) -> Make:
    """The same with another last digit."""

    def flip(source: Random) -> str:
        text = make(source)
        return f"{text[:-1]}{(int(text[-1]) + 1) % 10}"

    return flip


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
        "crates-token": Form(join("ci" + "o", pick(ALNUM, 32)), "cargo login {}"),
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
        "gitlab-feed-token": Form(join("gl" + "ft-", pick(URL, 20))),
        "gitlab-agent-token": Form(join("gl" + "agent-", pick(URL, 50))),
        "gitlab-mail-token": Form(join("gl" + "imt-", pick(URL, 25))),
        "gitlab-scim-token": Form(join("gl" + "soat-", pick(URL, 20))),
        "gitlab-oauth-secret": Form(join("gl" + "oas-", pick(URL, 64))),
        "gitlab-feature-flags-token": Form(join("gl" + "ffct-", pick(URL, 20))),
        "gitlab-runner-registration-token": Form(join("GR1" + "348941", pick(URL, 20))),
        "clojars-token": Form(join("CLO" + "JARS_", pick(LOWER, 60))),
        "packagist-token": Form(join("packa" + "gist_", one_of("ort", "uut", "ack"), "_", pick(HEX, 68))),
        "artifactory-key": Form(join("AK" + "Cp", pick(ALNUM, 69))),
        "artifactory-reference-token": Form(join("cmVmd" + "GtuOjAxO", pick(ALNUM, 51))),
        "docker-config-auth": Form(make_basic, '"auth": "{}"'),
        "npmrc-token": Form(pick(URL, 36), "//registry.test/:_authToken={}\n"),
        "aws-bedrock-key": Form(join("AB" + "SKQmVkcm9ja0FQSUtleS", pick(BASE64, 110))),
        "aws-bedrock-short-key": Form(join("bedrock" + "-api-key-", pick(BASE64, 300))),
        "google-oauth-token": Form(join("ya" + "29.", pick(URL, 60, 200))),
        "google-refresh-token": Form(join("1/" + "/0", pick(LOWER, 1), pick(URL, 60, 100))),
        "google-client-secret": Form(join("GOC" + "SPX-", pick(URL, 28))),
        "azure-storage-key": Form(
            in_base64(make_bytes(64)), "AccountName=mine;AccountKey={};EndpointSuffix=x"
        ),
        "azure-shared-access-key": Form(
            in_base64(make_bytes(32)), "SharedAccessKeyName=root;SharedAccessKey={}"
        ),
        "azure-client-secret": Form(join(pick(ALNUM, 3), pick(DIGITS, 1), "Q" + "~", pick(ALNUM, 34))),
        "azure-devops-token": Form(join(pick(ALNUM, 76), "AZ" + "DO", pick(ALNUM, 4))),
        "azure-service-key": Form(join(pick(ALNUM, 52), "JQ" + "QJ99", pick(ALNUM, 26))),
        "azure-signature": Form(
            in_base64(make_bytes(32)), "https://mine.blob.test/c?sv=2024-11-04&se=2026-01-01&sig={}"
        ),
        "azure-function-key": Form(join(pick(ALNUM, 44), "Az" + "Fu", pick(ALNUM, 5), "Q==")),
        "alibaba-key-id": Form(join("LT" + "AI", pick(ALNUM, 20))),
        "tencent-key-id": Form(join("AK" + "ID", pick(ALNUM, 32))),
        "yandex-key": Form(join("AQ" + "VN", pick(URL, 36))),
        "digitalocean-token": Form(join("do", one_of("p", "o", "r"), "_v" + "1_", pick(HEX, 64))),
        "heroku-token": Form(join("HR" + "KU-AA", pick(ALNUM, 58))),
        "fly-token": Form(join("Fly" + "V1 fm2_", pick(ALNUM, 300))),
        "fly-personal-token": Form(join("fo" + "1_", pick(URL, 43))),
        "vercel-token": Form(
            with_crc62("vc" + "p_", pick(ALNUM, 50)),
            wrong=(flip_last(with_crc62("vc" + "p_", pick(ALNUM, 50))),),
        ),
        "netlify-token": Form(join("nf" + "p_", pick(ALNUM, 36))),
        "render-key": Form(join("rn" + "d_", pick(ALNUM, 32))),
        "cloudflare-origin-key": Form(join("v1" + ".0-", pick(HEX, 24), "-", pick(HEX, 146))),
        "cloudflare-token": Form(pick(ALNUM, 40), "CLOUDFLARE_API_TOKEN={}\n"),
        "scaleway-secret-key": Form(make_uuid, "SCW_SECRET_KEY={}\n"),
        "hetzner-token": Form(pick(ALNUM, 64), "HCLOUD_TOKEN={}\n"),
        "linode-token": Form(pick(HEX, 64), "LINODE_TOKEN={}\n"),
        "pulumi-token": Form(join("pu" + "l-", pick(HEX, 40))),
        "terraform-token": Form(join(pick(ALNUM, 14), ".atlas" + "v1.", pick(ALNUM, 67))),
        "vault-token": Form(join("hv" + "s.", pick(ALNUM, 24, 100))),
        "vault-batch-token": Form(join("hv" + "b.", pick(ALNUM, 150))),
        "doppler-token": Form(join("dp" + ".", one_of("pt", "st.dev", "ct", "sa"), ".", pick(ALNUM, 43))),
        "infisical-token": Form(join("s" + "t.", pick(HEX, 24), ".", pick(HEX, 32), ".", pick(HEX, 32))),
        "onepassword-token": Form(join("op" + "s_eyJ", pick(URL, 400))),
        "onepassword-secret-key": Form(
            join(
                "A" + "3-",
                pick(UPPER, 6),
                "-",
                pick(UPPER, 6),
                *(join("-", pick(UPPER, 5)) for _ in range(4)),
            )
        ),
        "bitwarden-token": Form(join("0.", make_uuid, ".", pick(ALNUM, 30), ":", pick(BASE64, 22), "==")),
        "tailscale-key": Form(
            join("ts" + "key-", one_of("auth", "api", "client"), "-", pick(ALNUM, 12), "-", pick(ALNUM, 32))
        ),
        "databricks-token": Form(join("da" + "pi", pick(HEX, 32))),
        "harness-token": Form(join("p" + "at.", pick(URL, 22), ".", pick(HEX, 24), ".", pick(ALNUM, 20))),
        "planetscale-token": Form(join("ps" + "cale_", one_of("tkn", "pw", "oauth"), "_", pick(ALNUM, 43))),
        "supabase-token": Form(join("sb" + "p_", pick(HEX, 40))),
        "supabase-secret-key": Form(join("sb_" + "secret_", pick(URL, 22), "_", pick(ALNUM, 8))),
        "neon-key": Form(join("na" + "pi_", pick(LOWER, 64))),
        "mongodb-atlas-secret": Form(join("mdb" + "_sa_sk_", pick(URL, 40))),
        "confluent-secret": Form(join("cf" + "lt", pick(BASE64, 60)), "sasl.password: {}"),
        "database-url": Form(pick(ALNUM, 16), "postgresql://app:{}@db.internal:5432/app"),
        "database-connection-string": Form(
            pick(ALNUM, 16), "Server=tcp:db.internal,1433;User ID=app;Password={};Encrypt=true"
        ),
        "url-password": Form(pick(ALNUM, 20), "https://deploy:{}@git.internal/app.git"),
        "circleci-token": Form(join("CCI" + "PAT_", pick(ALNUM, 22), "_", pick(HEX, 40))),
        "buildkite-token": Form(join("bk" + "ua_", pick(HEX, 40))),
        "sonar-token": Form(join("sq", one_of("u", "p", "a"), "_", pick(HEX, 40))),
        "snyk-token": Form(join("sn" + "yk_sat.", pick(HEX, 8), ".", pick(ALNUM, 80))),
        "depot-token": Form(join("de" + "pot_", one_of("org", "user", "project"), "_", pick(HEX, 64))),
        "octopus-key": Form(join("A" + "PI-", pick(UPPER, 26)), "x-octopus-apikey: {}"),
        "sourcegraph-token": Form(join("sg" + "p_", pick(HEX, 16), "_", pick(HEX, 40))),
        "postman-key": Form(join("PM" + "AK-", pick(HEX, 24), "-", pick(HEX, 34))),
        "readme-key": Form(join("rd" + "me_", pick(LOWER, 70))),
        "anthropic-admin-key": Form(join("sk-" + "ant-admin01-", pick(URL, 93), "AA")),
        "anthropic-oauth-token": Form(join("sk-" + "ant-oat01-", pick(URL, 93), "AA")),
        "openrouter-key": Form(join("sk-" + "or-v1-", pick(HEX, 64))),
        "huggingface-organization-token": Form(join("api" + "_org_", pick(LETTERS, 34))),
        "groq-key": Form(join("gs" + "k_", pick(ALNUM, 52))),
        "xai-key": Form(join("x" + "ai-", pick(ALNUM, 80))),
        "perplexity-key": Form(join("pp" + "lx-", pick(ALNUM, 48))),
        "replicate-token": Form(join("r" + "8_", pick(ALNUM, 37))),
        "fireworks-key": Form(join("f" + "w_", pick(ALNUM, 24))),
        "together-key": Form(join("tg" + "p_v1_", pick(URL, 43))),
        "cerebras-key": Form(join("cs" + "k-", pick(LOWER, 48))),
        "nvidia-key": Form(join("nv" + "api-", pick(ALNUM, 64))),
        "elevenlabs-key": Form(join("s" + "k_", pick(HEX, 48))),
        "langsmith-key": Form(join("ls" + "v2_", one_of("pt", "sk"), "_", pick(HEX, 32), "_", pick(HEX, 10))),
        "langfuse-key": Form(join("sk-" + "lf-", make_uuid)),
        "voyage-key": Form(join("p" + "a-", pick(URL, 43)), "VOYAGE_API_KEY={}\n"),
        "pinecone-key": Form(join("pc" + "sk_", pick(ALNUM, 6), "_", pick(ALNUM, 63))),
        "tavily-key": Form(join("tv" + "ly-", one_of("", "dev-"), pick(ALNUM, 32))),
        "firecrawl-key": Form(join("f" + "c-", pick(HEX, 32))),
        "jina-key": Form(join("ji" + "na_", pick(HEX, 32), pick(URL, 28))),
        "e2b-key": Form(join("e2" + "b_", pick(HEX, 40))),
        "modal-token": Form(join("a" + "s-", pick(ALNUM, 22)), "MODAL_TOKEN_SECRET={}\n"),
        "cursor-key": Form(join("ke" + "y_", pick(HEX, 64))),
        "apify-token": Form(join("api" + "fy_api_", pick(ALNUM, 36))),
        "deepseek-key": Form(join("s" + "k-", pick(HEX, 32))),
        "slack-user-token": Form(
            join(
                "xo" + "xp-",
                pick(DIGITS, 12),
                "-",
                pick(DIGITS, 12),
                "-",
                pick(DIGITS, 12),
                "-",
                pick(HEX, 32),
            )
        ),
        "slack-rotating-token": Form(join("xo" + "xe.xoxp-1-", pick(ALNUM, 163))),
        "slack-session-token": Form(
            join(
                "xo" + "xc-",
                pick(DIGITS, 12),
                "-",
                pick(DIGITS, 12),
                "-",
                pick(DIGITS, 12),
                "-",
                pick(HEX, 64),
            )
        ),
        "slack-app-token": Form(
            join("xa" + "pp-1-A", pick(UPPER, 10), "-", pick(DIGITS, 13), "-", pick(HEX, 64))
        ),
        "slack-webhook": Form(
            join("T", pick(UPPER, 8), "/B", pick(UPPER, 8), "/", pick(ALNUM, 24)),
            "https://hooks.slack." + "com/services/{}",
        ),
        "discord-webhook": Form(
            join(pick(DIGITS, 18), "/", pick(ALNUM, 68)), "https://discord." + "com/api/webhooks/{}"
        ),
        "discord-bot-token": Form(make_discord),
        "telegram-bot-token": Form(join(pick("123456789", 9), ":" + "AA", pick(URL, 33))),
        "teams-webhook": Form(
            join(make_uuid, "@", make_uuid, "/IncomingWebhook/", pick(HEX, 32), "/", make_uuid),
            "https://mine.webhook.office." + "com/webhookb2/{}",
        ),
        "sendgrid-key": Form(join("S" + "G.", pick(ALNUM, 22), ".", pick(ALNUM, 43))),
        "twilio-key": Form(join("S" + "K", pick(HEX, 32)), "twilio: {}"),
        "mailgun-key": Form(join("ke" + "y-", pick(HEX, 32))),
        "mailgun-new-key": Form(join(pick(HEX, 32), "-", pick(HEX, 8), "-", pick(HEX, 8)), "mailgun: {}"),
        "mailchimp-key": Form(join(pick(HEX, 32), "-u" + "s", pick("123456789", 2))),
        "resend-key": Form(join("r" + "e_", pick(ALNUM, 8), "_", pick(ALNUM, 24))),
        "brevo-key": Form(join("xk" + "eysib-", pick(HEX, 64), "-", pick(ALNUM, 16))),
        "stripe-test-key": Form(join(one_of("sk", "rk"), "_te" + "st_", pick(ALNUM, 24, 99))),
        "stripe-webhook-secret": Form(join("wh" + "sec_", pick(ALNUM, 32))),
        "square-token": Form(
            one_of(join("EA" + "AA", pick(ALNUM, 60)), join("sq0" + "atp-", pick(ALNUM, 22))), "square: {}"
        ),
        "square-secret": Form(join("sq0" + "csp-", pick(ALNUM, 43))),
        "braintree-token": Form(join("access_" + "token$production$", pick(LOWER, 16), "$", pick(HEX, 32))),
        "shopify-token": Form(join("sh" + "p", one_of("at", "ca", "pa", "ss"), "_", pick(HEX, 32))),
        "flutterwave-key": Form(join("FLW" + "SECK-", pick(HEX, 32), "-X")),
        "mollie-key": Form(join("li" + "ve_", pick(ALNUM, 30))),
        "plaid-token": Form(join("acc" + "ess-production-", make_uuid)),
        "razorpay-key": Form(join("rzp" + "_live_", pick(ALNUM, 14))),
        "easypost-key": Form(join("EZ" + "AK", pick(ALNUM, 54))),
        "shippo-token": Form(join("ship" + "po_live_", pick(HEX, 40))),
        "grafana-token": Form(make_grafana, wrong=(flip_last(make_grafana),)),
        "grafana-cloud-token": Form(join("gl" + "c_eyJ", pick(BASE64, 120))),
        "new-relic-user-key": Form(join("NR" + "AK-", pick(UPPER, 27))),
        "new-relic-license-key": Form(join(pick(HEX, 36), "NR" + "AL")),
        "datadog-key": Form(one_of(pick(HEX, 32), pick(HEX, 40)), "DD_API_KEY={}\n"),
        "sentry-user-token": Form(join("sn" + "tryu_", pick(HEX, 64))),
        "sentry-organization-token": Form(join("sn" + "trys_eyJ", pick(ALNUM, 150), "=_", pick(BASE64, 43))),
        "dynatrace-token": Form(join("dt0" + "c01.", pick(BASE32, 24), ".", pick(BASE32, 64))),
        "honeycomb-key": Form(join("hc" + "aik_", pick(LOWER, 58))),
        "posthog-key": Form(join("ph" + "x_", pick(ALNUM, 43))),
        "segment-token": Form(join("sg" + "p_", pick(ALNUM, 64))),
        "axiom-token": Form(join("xa" + "at-", make_uuid)),
        "logfire-token": Form(join("py" + "lf_v1_us_", pick(ALNUM, 43))),
        "launchdarkly-key": Form(
            join(one_of("a" + "pi-", "s" + "dk-"), make_uuid), "LAUNCHDARKLY_SDK_KEY={}\n"
        ),
        "zuplo-key": Form(make_zuplo, wrong=(flip_last(make_zuplo),)),
        "linear-key": Form(join("li" + "n_api_", pick(ALNUM, 40))),
        "notion-token": Form(join("nt" + "n_", pick(ALNUM, 46))),
        "notion-old-token": Form(join("sec" + "ret_", pick(ALNUM, 43))),
        "airtable-token": Form(join("pa" + "t", pick(ALNUM, 14), ".", pick(HEX, 64))),
        "asana-token": Form(join("2/", pick(DIGITS, 16), "/", pick(DIGITS, 16), ":", pick(HEX, 32))),
        "figma-token": Form(join("fi" + "gd_", pick(URL, 40))),
        "dropbox-token": Form(join("s" + "l.", pick(ALNUM, 136))),
        "hubspot-token": Form(join("pa" + "t-na1-", make_uuid)),
        "typeform-token": Form(join("tf" + "p_", pick(ALNUM, 44))),
        "contentful-token": Form(join("CF" + "PAT-", pick(URL, 43))),
        "mapbox-token": Form(join("s" + "k.eyJ", pick(ALNUM, 70), ".", pick(ALNUM, 22))),
        "intercom-token": Form(join("dG" + "9rO", pick(ALNUM, 55), "=")),
        "salesforce-session": Form(join("0" + "0D", pick(ALNUM, 12), "!A", pick(ALNUM, 95))),
        "rapidapi-key": Form(
            join(pick(HEX, 10), "m" + "sh", pick(HEX, 15), "p", pick(HEX, 6), "j" + "sn", pick(HEX, 12))
        ),
        "prefect-key": Form(join("pn" + "u_", pick(ALNUM, 36))),
        "facebook-token": Form(join("EA" + "AB", pick(ALNUM, 8), "BO", pick(ALNUM, 140)), "facebook: {}"),
        "twitter-bearer": Form(
            join("A" * 21, pick(ALNUM, 5), "AAAAAAA", pick(ALNUM, 25), "%3D", pick(ALNUM, 50))
        ),
        "pgp-private-key": Form(make_pgp),
        "putty-private-key": Form(make_putty),
        "minisign-secret-key": Form(
            join(in_base64(lambda source: b"Ed" + make_bytes(156)(source))),
            "untrusted comment: minisign encrypted secret key\n{}\n",
        ),
        "wireguard-private-key": Form(in_base64(make_bytes(32)), "[Interface]\nPrivateKey = {}\n"),
        "jwk-private-key": Form(
            in_base64(make_bytes(32), url=True, pad=False), '{"kty": "EC", "crv": "P-256", "d": "{}"}'
        ),
        "bitcoin-private-key": Form(make_wif, wrong=(swap_two(make_wif),)),
        "extended-private-key": Form(make_xprv, wrong=(swap_two(make_xprv),)),
        "stellar-seed": Form(make_stellar, wrong=(swap_two(make_stellar),)),
        "nostr-private-key": Form(make_nostr, wrong=(swap_two(make_nostr),)),
        "ethereum-private-key": Form(join("0x", pick(HEX, 64)), "PRIVATE_KEY={}\n"),
        "json-web-encryption": Form(make_jwe),
        "basic-credentials": Form(make_basic, "Authorization: Basic {}"),
        "netrc-password": Form(pick(ALNUM, 20), "machine git.internal login me password {}\n"),
        "password-hash": Form(join("$6" + "$", pick(ALNUM, 16), "$", pick(ALNUM, 86))),
        "bearer-token": Form(pick(ALNUM, 40), "Authorization: Bearer {}"),
        "payment-card": Form(make_card, '{"card_number": "{}"}', wrong=(flip_digit(make_card),)),
        "iban": Form(make_iban, "IBAN: {}", wrong=(flip_digit(make_iban),)),
        "generic-secret": Form(pick(ALNUM, 32), 'MY_API_KEY = "{}"'),
        "generic-password": Form(join(pick(ALNUM, 14), "!", pick(DIGITS, 3)), 'db_password = "{}"'),
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
