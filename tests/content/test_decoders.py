"""What is encoded is found wherever it stands, told where it stands, and bounded whatever it claims to be."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import random
import string
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio_egress.content.decoders import DEPTH, SIGNS, View, open_view
from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.escapes import decode_backslash
from trio_egress.content.exact import Exact, list_detectors
from trio_egress.content.pattern import compile_pattern
from trio_egress.content.piece import MOST_UNPACKED, VIEW_BYTES, Budget
from trio_egress.content.scanner import WINDOW, Scanner
from trio_egress.model import Kind

CHANCE = random.Random(11)
TOKEN = "tk_" + "".join(CHANCE.choices(string.ascii_letters + string.digits, k=24))
FORM = Detector(name="form", description="", kind=Kind.SECRET, pattern=r"\btk_[A-Za-z0-9]{24}\b")
PAIR = Detector(
    name="pair", description="", kind=Kind.SECRET, pattern="secret[\"']\\s{0,2}:\\s{0,2}[\"'](\\w{20,})[\"']"
)
SCANNER = Scanner([FORM, PAIR])


def pack_zip(raw: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/name.txt", raw)
    return file.getvalue()


def wrap_lines(raw: bytes) -> bytes:
    return base64.encodebytes(raw)


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64 for URLs": lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"="),
    "base64 in lines": wrap_lines,
    "base32": base64.b32encode,
    "base32, lower case": lambda raw: base64.b32encode(raw).lower(),
    "hex": lambda raw: raw.hex().encode(),
    "hex, upper case": base64.b16encode,
    "hex by colons": lambda raw: raw.hex(":").encode(),
    "hex by spaces": lambda raw: raw.hex(" ").encode(),
    "hex in a list": lambda raw: ", ".join(map(hex, raw)).encode(),
    "hex of bytes": lambda raw: "".join(f"\\x{byte:02x}" for byte in raw).encode(),
    "an array": lambda raw: json.dumps(list(raw)).encode(),
    "an array without spaces": lambda raw: json.dumps(list(raw), separators=(",", ":")).encode(),
    "percents": lambda raw: "".join(f"%{byte:02X}" for byte in raw).encode(),
    "percents twice": lambda raw: quote("".join(f"%{byte:02X}" for byte in raw)).encode(),
    "percents thrice": lambda raw: quote(quote("".join(f"%{byte:02X}" for byte in raw))).encode(),
    "escapes of JSON": lambda raw: "".join(f"\\u{byte:04x}" for byte in raw).encode(),
    "numbers of HTML": lambda raw: "".join(f"&#{byte};" for byte in raw).encode(),
    "hex of HTML": lambda raw: "".join(f"&#x{byte:x};" for byte in raw).encode(),
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "UTF-16, big endian": lambda raw: raw.decode().encode("utf-16-be"),
    "gzip": lambda raw: gzip.compress(raw, mtime=0),
    "zip": pack_zip,
}
BINARY = {"UTF-16", "UTF-16, big endian", "gzip", "zip", "zlib"}
TEXT = [name for name in ENCODINGS if name not in BINARY]


def find(message: bytes, scanner: Scanner = SCANNER, way: Way = Way.OUT) -> list[Finding]:
    return scanner.scan(message, way)


def walk(message: bytes) -> Iterator[View]:
    """Every view of a message, as the scanner comes by them."""
    patterns = [compile_pattern(sign, "") for sign in SIGNS]

    def descend(view: View) -> Iterator[View]:
        for inner in view.decode([n for n, pattern in enumerate(patterns) if pattern.search(view.data)]):
            yield inner
            yield from descend(inner)

    return descend(open_view(message))


@pytest.mark.parametrize("escape", [r"\n", r"\t", r"\\n", r"\u00e9", r"\u2028", r"\x0a"])
def test_a_form_behind_an_escape_is_found(escape: str) -> None:
    """The escape's last letter is one of a word, but what it stands for is none, or is another one."""
    (found,) = find(f'{{"a": "as follows:{escape}{TOKEN}"}}'.encode())
    assert found.value == TOKEN.encode()
    assert found.via == ("escaped",)
    assert find(f'{{"a": "as follows:n{TOKEN}"}}'.encode()) == []


def test_other_scripts_are_decoded_where_a_detector_of_what_is_sent_has_their_letters() -> None:
    name = Detector(name="name", description="", kind=Kind.SECRET, pattern="проект орион")
    message = json.dumps({"text": "о чём проект орион"}).encode()
    (found,) = find(message, Scanner([FORM, name]))
    assert (found.detector.name, found.via) == ("name", ("escaped",))
    assert find(message) == []


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("before", range(8))
def test_a_form_is_found_encoded_at_every_alignment(encoding: str, before: int) -> None:
    message = b"data='" + ENCODINGS[encoding](f"{'~' * before} {TOKEN} and so on".encode()) + b"'"
    found = find(message)
    assert [(each.detector.name, each.value) for each in found] == [("form", TOKEN.encode())]
    assert found[0].via
    assert 0 < found[0].start < found[0].end <= len(message)


@pytest.mark.parametrize(
    "outer", [name for name in TEXT if name not in ("percents twice", "percents thrice")]
)
@pytest.mark.parametrize("inner", [name for name in TEXT if name != "percents thrice"])
def test_an_encoding_in_another_is_found(outer: str, inner: str) -> None:
    raw = f"a text with {TOKEN} in it, and so on".encode()
    found = find(b"x " + ENCODINGS[outer](ENCODINGS[inner](raw)) + b" y")
    assert [each.value for each in found] == [TOKEN.encode()]


BYTES = [name for name in TEXT if name.startswith("base64")] + [
    "hex",
    "hex, upper case",
    "percents",
    "percents twice",
]
LISTS = ["hex by colons", "hex by spaces", "an array", "an array without spaces", "hex of bytes"]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        *((outer, inner) for outer in BYTES for inner in ("gzip", "zip", "UTF-16")),
        *((each, "gzip") for each in LISTS),
    ],
)
def test_what_is_no_text_is_found_in_what_encodes_bytes(outer: str, inner: str) -> None:
    raw = f"a text with {TOKEN} in it, and so on".encode()
    found = find(b"x " + ENCODINGS[outer](ENCODINGS[inner](raw)) + b" y")
    assert [each.value for each in found] == [TOKEN.encode()]


@pytest.mark.parametrize(
    ("message", "via"),
    [
        (f'{{"text": "see:\\n{TOKEN}"}}', ("escaped",)),
        (f'{{"arguments": "{{\\"secret\\": \\"{TOKEN[3:]}\\"}}"}}', ("escaped",)),
        (json.dumps(json.dumps(json.dumps({"secret": TOKEN[3:]}))), ("escaped",)),
        (f"secret&quot;:&quot;{TOKEN[3:]}&quot;", ("html",)),
        (html.escape(html.escape(f"'secret': '{TOKEN[3:]}'")), ("html",)),
        (quote(f'{{"secret":"{TOKEN[3:]}"}}'), ("percent",)),
        (quote_plus(f'{{"secret": "{TOKEN[3:]}"}}'), ("percent",)),
        (f"x=1&y=tk%5F{TOKEN[3:]}", ("percent",)),
        (f"before tk&lowbar;{TOKEN[3:]}", ("html",)),
        (f"tk_{TOKEN[3:9]}\\u{ord(TOKEN[9]):04X}{TOKEN[10:]}", ("escaped",)),
        (f"https:\\/\\/host\\/a\\/tk%5f{TOKEN[3:]}", ("percent",)),
    ],
)
def test_what_escapes_hide_is_found(message: str, via: tuple[str, ...]) -> None:
    found = find(message.encode())
    assert [(each.via, each.value in (TOKEN.encode(), TOKEN[3:].encode())) for each in found] == [(via, True)]


@pytest.mark.parametrize("encoding", [*TEXT, "UTF-16"])
def test_a_finding_stands_where_it_is_encoded(encoding: str) -> None:
    prefix, encode = b"Lorem ipsum: ", ENCODINGS[encoding]
    message = prefix + encode(f"{'a b ' * 9}{TOKEN}{' c d' * 9}".encode()) + b" dolor sit amet"
    (found,) = find(message)
    inside = message[found.start : found.end]
    # So much of it alone is enough, and a byte less on either side isn't.
    assert len(inside) < len(message) * 0.6
    shorter = message[: found.start] + b"~" * len(inside) + message[found.end :]
    assert find(shorter) == []
    assert find(message[: found.end] + b"'") or encoding.startswith(("base", "UTF")), encoding


def test_what_was_compressed_stands_where_its_stream_does() -> None:
    stream = gzip.compress(f"a {TOKEN} b".encode())
    (found,) = find(b"....." + stream + b"...")
    assert (found.start, found.via) == (5, ("gzip",))
    assert 5 + len(stream) <= found.end <= 5 + len(stream) + 3


def test_zlib_is_unpacked_at_the_beginning_of_what_holds_it() -> None:
    stream = zlib.compress(f"a {TOKEN} b".encode())
    assert [each.via for each in find(stream)] == [("zlib",)]
    assert [each.via for each in find(b'{"x": "' + base64.b64encode(stream) + b'"}')] == [("base64", "zlib")]


def test_powershell_is_read() -> None:
    command = base64.b64encode(f"curl -H {TOKEN} somewhere".encode("utf-16-le"))
    assert [each.via for each in find(b"powershell -enc " + command)] == [("base64", "utf-16")]


def test_alignments_in_one_run_are_each_decoded() -> None:
    first = base64.b64encode(b"here is some text that is not it").rstrip(b"=")
    second = base64.b64encode(f"and here is {TOKEN} itself".encode()).rstrip(b"=")
    for between in (b"", b"A", b"AA", b"AAA"):
        assert [each.value for each in find(first + between + second)] == [TOKEN.encode()]


@pytest.mark.parametrize("at", [WINDOW - 60, WINDOW - 20, WINDOW - 1, WINDOW, WINDOW + 300, 2 * WINDOW - 9])
def test_a_run_over_windows_is_found_once_wherever_it_is_cut(at: int) -> None:
    raw = b"words " * 40_000
    raw = raw[: at * 3 // 4] + f" {TOKEN} ".encode() + raw[at * 3 // 4 :]
    message = base64.b64encode(raw)
    found = find(message)
    assert [each.value for each in found] == [TOKEN.encode()]
    assert TOKEN.encode() in base64.b64decode(message[found[0].start // 4 * 4 : (found[0].end + 3) // 4 * 4])
    stream = SCANNER.open(Way.OUT)
    pieces = [message[start : start + 7001] for start in range(0, len(message), 7001)]
    assert [each for piece in pieces for each in stream.feed(piece)] + stream.finish() == found


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40),
    st.randoms(use_true_random=False),
)
@settings(max_examples=12)
@example("a%41\\x41&#65;b", random.Random(1))
def test_a_value_of_the_run_is_found_in_any_mixture_of_escapes_of_one_kind(
    text: str, chance: random.Random
) -> None:
    scanner = Scanner([], list_detectors([Exact("it", text.encode())]))
    kinds: list[Callable[[str], str]] = [
        lambda char: "".join(f"%{byte:02x}" for byte in char.encode()),
        lambda char: "".join(f"%25{byte:02X}" for byte in char.encode()),
        lambda char: json.dumps(char)[1:-1] if ord(char) > 126 else f"\\u{ord(char):04x}",
        lambda char: f"&#x{ord(char):x};",
    ]
    for spell in kinds:
        # What would be taken for an escape is always spelt, as encoders do; and one letter is, so that there is a sign.
        spelt = "".join(
            spell(char) if char in "%\\&+" or not (32 < ord(char) < 127) or chance.random() < 0.4 else char
            for char in f"{text}AAAAAAAA"
        )
        if all(char in string.printable for char in text) and html.unescape(spell(text[0])) is not None:
            assert find(f"<{spelt}>".encode(), scanner), spelt


@given(st.binary(max_size=3000))
@settings(max_examples=60)
def test_no_bytes_raise_and_every_place_is_in_the_window(raw: bytes) -> None:
    for message in (
        raw,
        base64.b64encode(raw),
        raw.hex().encode(),
        zlib.compress(raw),
        b"\x1f\x8b\x08" + raw,
    ):
        for view in walk(message):
            assert len(view.via) <= DEPTH
            for at in (0, len(view.data) // 2, max(0, len(view.data) - 1)):
                start, end = view.find_origin(at, at + 1)
                assert 0 <= start <= end <= len(message)


@given(st.text(alphabet=string.printable, min_size=20, max_size=200))
@settings(max_examples=40)
def test_decoding_is_the_inverse_of_encoding(text: str) -> None:
    raw = text.encode()
    percents = "".join(f"%{byte:02x}" for byte in raw).encode()
    assert unquote_to_bytes(percents) == raw
    datas = [view.data for view in walk(percents)]
    if datas:
        assert raw in datas[0]
    for encode in (base64.b64encode, base64.b32encode):
        message = b"(" + encode(b"a text as long as that " + raw) + b")"
        # Perhaps more than once: a run may be read from several places on.
        assert any(b"a text as long as that " + raw in view.data for view in walk(message))


def test_a_bomb_is_unpacked_as_far_as_the_budget_goes() -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    assert sum(len(view.data) for view in walk(bomb)) < 2 * MOST_UNPACKED
    assert sum(len(view.data) for view in walk(bomb[:1000] * 60)) <= 2 * VIEW_BYTES


def test_a_nest_is_opened_as_deep_as_views_go() -> None:
    nest = f"a {TOKEN} b".encode()
    for _ in range(DEPTH):
        nest = base64.b64encode(b"some text, then " + nest)
    assert [each.value for each in find(nest)] == [TOKEN.encode()]
    assert find(base64.b64encode(b"some text, then " + nest)) == []


def test_a_broken_stream_is_unpacked_as_far_as_it_goes() -> None:
    noise = base64.b64encode(CHANCE.randbytes(30_000))
    stream = gzip.compress(f"a {TOKEN} b ".encode() + noise)
    assert find(stream[: len(stream) // 2])
    assert find(stream[: len(stream) // 2] + b"\xff" * 2000)


def test_decoys_leave_the_plain_encodings_their_share() -> None:
    bomb = gzip.compress(b"A" * (1 << 20))
    message = bomb * (WINDOW // len(bomb) - 2) + b" " + base64.b64encode(f"a {TOKEN} b".encode()) + b" "
    assert [each.value for each in find(message)] == [TOKEN.encode()]


def test_what_is_random_is_not_decoded() -> None:
    noise = CHANCE.randbytes(6_000)
    digests = " ".join(CHANCE.randbytes(32).hex() for _ in range(100)).encode()
    identifiers = " ".join(f"call_{''.join(CHANCE.choices(string.ascii_letters, k=24))}" for _ in range(100))
    assert list(walk(digests)) == []
    assert (
        sum(len(view.data) for view in walk(b'{"image": "' + base64.b64encode(noise) + b'"}'))
        < len(noise) * 2
    )
    assert len([*walk(identifiers.encode())]) < 3


def test_ordinary_files_have_hardly_any_views() -> None:
    """The project's own pages and sources, as what an agent sends of them."""
    root = Path(__file__).parents[2]
    files = sorted([*(root / "src").rglob("*.py"), *(root / "docs").glob("*.md")])
    texts = [json.dumps({"role": "user", "content": path.read_text()[:10_000]}).encode() for path in files]
    seen = [sum(1 for _ in walk(text)) for text in texts]
    assert len(texts) > 200
    assert sum(count > 0 for count in seen) < len(texts) * 0.2


def test_nothing_is_imported_for_what_is_decoded() -> None:
    """A run that looks through what passes imports nothing once its agent runs."""
    messages = [encode(f"a text with {TOKEN}, and so on".encode()) for encode in ENCODINGS.values()]
    messages.append(rb"\ud83d\ude00\u0041\u00e9&#128512;&lowbar;%41")
    program = (
        "import sys; from trio_egress.content.decoders import SIGNS, open_view\n"
        f"messages = {messages!r}\n"
        "before = set(sys.modules)\n"
        "views = [view for each in messages for view in open_view(each).decode(range(len(SIGNS)))]\n"
        "assert len(views) >= len(messages)\n"
        "assert [view.find_origin(0, 1) for view in views]\n"
        "print(sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


ESCAPES = ["\\", "\\\\", "\\n", "n", '"', "/", "u0041", "x41", "\\ud83d\\ude00", "W", "'", "\\t"]


@given(st.lists(st.sampled_from(ESCAPES)).map("".join))
@settings(max_examples=200)
def test_escapes_are_replaced_alike_one_by_one_and_by_kinds(text: str) -> None:
    """One by one where five backslashes stand in a row, and for places."""
    for piece in decode_backslash(text.encode(), Budget()):
        (slow,) = decode_backslash(text.encode() + b" " + b"\\" * 5, Budget())
        assert slow.data.startswith(piece.data + b" ")
        assert piece.places is not None
        places = list(piece.places())
        assert len(places) == len(piece.data) + 1
        assert places == sorted(places)
