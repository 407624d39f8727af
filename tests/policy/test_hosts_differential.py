"""Hosts as a real WHATWG parser reads them: where node and we both find a host, it is the same one.

Where the two know different versions of Unicode one of them may refuse; none may find something else.
"""

from __future__ import annotations

import json
import subprocess
import unicodedata
from ipaddress import ip_address

import pytest

from trio_egress.model import Host, Name
from trio_egress.policy.hosts import parse_host

PROGRAM = """
const hosts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const read = host => {
  try {
    const url = new URL(`http://${host}/`);
    const whole = url.pathname === "/" && !url.username && !url.password && !url.port && !url.search && !url.hash;
    return whole ? url.hostname : null;
  } catch { return null; }
};
process.stdout.write(JSON.stringify(hosts.map(read)));
"""

# Ideographs and syllables are mapped alike, block by block; a few stand for all of them.
_UNIFORM = (range(0x3400, 0xA000), range(0xAC00, 0xD7A4), range(0x17000, 0x19000), range(0x20000, 0x110000))


def letters() -> list[str]:
    """Every character that could be part of a label, or that a mapping could make one of."""
    return [
        chr(number)
        for number in range(0x110000)
        if unicodedata.category(chr(number))[0] in "LMNSC"
        and unicodedata.category(chr(number)) not in ("Cn", "Cs", "Co")
        and not any(number in block and number % 997 for block in _UNIFORM)
    ]


def read_by_node(hosts: list[str]) -> list[Host | None]:
    ran = subprocess.run(
        ["node", "-e", PROGRAM],
        input=json.dumps(hosts),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [None if text is None else normalise(text) for text in json.loads(ran.stdout)]


def normalise(hostname: str) -> Host:
    text = hostname.removesuffix(".")
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return Name(text)
    return getattr(address, "ipv4_mapped", None) or address


def read_by_us(host: str) -> Host | None:
    try:
        return parse_host(host)
    except ValueError:
        return None


def find_differences(hosts: list[str]) -> list[tuple[str, Host | None, Host | None]]:
    """Those for which both find a host and it is not the same."""
    rows = zip(hosts, map(read_by_us, hosts), read_by_node(hosts), strict=True)
    return [(host, ours, theirs) for host, ours, theirs in rows if ours and theirs and ours != theirs]


@pytest.mark.programs
@pytest.mark.parametrize("form", ["a{}b.example", "{}.example", "0x7{}f.1", "1.2.3.{}"])
def test_no_character_makes_another_host_of_a_name_than_node_reads(form: str) -> None:
    hosts = [form.format(letter) for letter in letters()]
    assert len(hosts) > 30_000
    assert find_differences(hosts) == []


SPELLINGS = [
    *(
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0177.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.0.0.1.",
        "1.2.3",
    ),
    *(
        "256",
        "256.1",
        "1.256.1",
        "1.2.3.256",
        "4294967295",
        "4294967296",
        "0xffffffff",
        "0x100000000",
        "1.16777215",
    ),
    *(
        "1.16777216",
        "0x",
        "0X7F.1",
        "1.2.3.4.5",
        "1..2",
        "1.2.3.4..",
        "a.1",
        "a.0x1",
        "1.a",
        "0x7g",
        "09",
        "08.1",
    ),
    *("00000000177.1", "1e3", "+1", "-1", "1.2.3.a", "１２７.1", "127。0。0。1", "①②⑦.1", "0x7f.1a"),
    *(
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[::1%25lo]",
        "[::1.2.3.4]",
        "[::1",
    ),
    *(
        "[1::2::3]",
        "[::12345]",
        "[v1.x]",
        "example.com.",
        "example.com..",
        ".example.com",
        "EXAMPLE.com",
        "a_b.example",
    ),
    *(
        "a b.example",
        "a%62.example",
        "a%2e.example",
        "a\u3002example",
        "faß.example",
        "fass.example",
        "ＥＸ.example",
    ),
    *(
        "xn--fa-hia.example",
        "XN--FA-HIA.example",
        "xn--.example",
        "xn--a.example",
        "a\u00adb.example",
        "ﬃ.example",
    ),
    *(
        "a\u200db.example",
        "\u0301a.example",
        "-a.example",
        "a-.example",
        "a--b.example",
        "ab--c.example",
        "%00.example",
    ),
    *(
        "a@b.example",
        "a:80",
        "a/b.example",
        "a\\b.example",
        "a?b.example",
        "a#b.example",
        "*.example",
        "a|b.example",
    ),
    *("localhost", "LocalHost.", "a\tb.example", "a\nb.example", "\u2028.example", "1.2.3.4%20", "ẞ.example"),
]


@pytest.mark.programs
def test_node_reads_no_spelling_as_another_host() -> None:
    assert find_differences(SPELLINGS) == []


@pytest.mark.programs
def test_node_is_asked_at_all() -> None:
    assert read_by_node(["0x7f.1", "BÜCHER.example", "a b"]) == [
        ip_address("127.0.0.1"),
        "xn--bcher-kva.example",
        None,
    ]
    found = {host for host in SPELLINGS if read_by_us(host)} & {
        host for host, theirs in zip(SPELLINGS, read_by_node(SPELLINGS), strict=True) if theirs
    }
    assert len(found) > 30


def test_a_letter_on_which_programs_do_not_agree_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^programs don't agree on what ẞ is: write ß, or ss$"):
        parse_host("faẞ.example")
    assert parse_host("faß.example") == "xn--fa-hia.example"
