"""What is in archives, by real ones; and bombs, which end at a bound."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import resource
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from tests.static.kit import commit, git, make_repository, scan, scan_apart, token, write

from trio_egress.static import archives
from trio_egress.static.archives import open_archive
from trio_egress.static.source import Source, Unread

Files = dict[str, bytes]


def make_zip(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


def make_tar(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return made.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def list_members(raw: bytes) -> list[tuple[str, bytes | str]]:
    """What comes of it: names with contents, or with why they could not be read."""
    found: list[tuple[str, bytes | str]] = []
    for member in open_archive("x", io.BytesIO(raw), len(raw)):
        if isinstance(member, Source):
            try:
                found.append((member.path, b"".join(member.pieces)))
            except OSError as error:
                found.append((member.path, str(error)))
        else:
            found.append((member.path, member.reason))
    return found


FILES: Files = {"a.txt": b"one", "deep/b.txt": b"two" * 100_000}
MEMBERS = [("x!a.txt", b"one"), ("x!deep/b.txt", b"two" * 100_000)]


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip_in_every_method(method: int) -> None:
    assert list_members(make_zip(FILES, method)) == MEMBERS


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_in_every_form(form: int) -> None:
    files = {**FILES, "long/" * 15 + "c.txt": b"three"}
    assert list_members(make_tar(files, form)) == [*MEMBERS, ("x!" + "long/" * 15 + "c.txt", b"three")]


@pytest.mark.parametrize("packer", PACKERS)
def test_what_is_compressed_and_tar_in_it(packer: str) -> None:
    pack = PACKERS[packer]
    assert list_members(pack(b"one" * 500_000)) == [(f"x!{packer}", b"one" * 500_000)]
    assert list_members(pack(make_tar(FILES))) == MEMBERS
    assert list_members(pack(b"one") + pack(b"two")) == [(f"x!{packer}", b"onetwo")]


def test_what_programs_make_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": token(1), "b/c.txt": token(2)})
    for flag, name in (("", "x.tar"), ("-z", "x.tgz"), ("-j", "x.tar.bz2"), ("-J", "x.tar.xz")):
        subprocess.run(["tar", "-c", *flag.split(), "-f", name, "a.txt", "b"], cwd=tmp_path, check=True)
        assert [place[:2] for place in scan(tmp_path, "--json", "--archives", name).places] == [
            (f"{name}!a.txt", 1),
            (f"{name}!b/c.txt", 1),
        ]


def test_archives_in_archives_to_a_bound() -> None:
    raw = make_zip({"x.tar": make_tar({"y.gz": gzip.compress(b"one")}), "b.txt": b"two"})
    assert [name for name, _ in list_members(raw)] == [
        *("x!x.tar", "x!x.tar!y.gz", "x!x.tar!y.gz!gzip", "x!b.txt"),
    ]
    for _ in range(4):
        raw = make_zip({"z.zip": raw})
    assert list_members(raw)[-1] == ("x!z.zip!z.zip!z.zip", "it is an archive in 3 archives")


def test_nothing_is_one_that_does_not_begin_as_one() -> None:
    assert list_members(b"") == list_members(b"PK") == list_members(b"text" * 500) == []


def test_what_stands_before_and_between_members_is_looked_at_with_the_file(tmp_path: Path) -> None:
    raw = make_zip({"a.txt": token(1).encode()})
    write(tmp_path, {"x.zip": raw + token(2).encode()})
    assert [place[0] for place in scan(tmp_path, "--json", "--archives").places] == ["x.zip", "x.zip!a.txt"]
    assert [place[0] for place in scan(tmp_path, "--json").places] == ["x.zip"]


def test_what_is_broken_is_told_and_what_came_before_is_looked_at(tmp_path: Path) -> None:
    whole = {"tar": make_tar({"a.txt": b"one", "b.txt": os.urandom(50_000)})}
    whole |= {name: pack(os.urandom(100_000)) for name, pack in PACKERS.items()}
    whole["zip"] = make_zip({"a.txt": b"one", "b.txt": os.urandom(50_000)})
    for name, raw in whole.items():
        for end in range(600, 50_000, 9973):
            cut = list_members(raw[:end])
            assert any(isinstance(said, str) for _, said in cut), (name, end)
    crossed = bytearray(make_zip({"a.txt": b"one" * 100}, zipfile.ZIP_STORED))
    crossed[60] ^= 1
    assert [said for _, said in list_members(bytes(crossed)) if isinstance(said, str)] == [
        "as a member it is broken: Bad CRC-32 for file 'a.txt'"
    ]
    write(tmp_path, {"x.zip": bytes(crossed)})
    ran = scan(tmp_path, "--archives")
    assert ran.code == 2
    assert "x.zip!a.txt was not looked through: as a member it is broken" in ran.err
    assert scan(tmp_path).code == 0


def test_what_is_encrypted_is_told() -> None:
    raw = bytearray(make_zip({"a.txt": b"one"}))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    assert list_members(bytes(raw)) == [("x!a.txt", "it is encrypted")]


def deflate_zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(bytes(20 << 20)),
    "bzip2": lambda: bz2.compress(bytes(20 << 20)),
    "xz": lambda: lzma.compress(bytes(20 << 20)),
    "zstd": lambda: zstandard.ZstdCompressor().compress(bytes(20 << 20)),
    "zip": lambda: make_zip({"a": bytes(20 << 20)}),
    "zip of zips": lambda: make_zip(
        {f"{n}.zip": make_zip({f"{m}": bytes(1 << 20) for m in range(8)}) for n in range(3)}
    ),
    "tar in gzip": lambda: gzip.compress(make_tar({"a": bytes(20 << 20)})),
    "overlapping zip": lambda: overlap(make_zip({"a": bytes(1 << 20)}), 30),
}


def overlap(raw: bytes, times: int) -> bytes:
    """One member's data, listed many times (D. Fifield, A better zip bomb, 2019)."""
    at, end = raw.index(b"PK\x01\x02"), raw.index(b"PK\x05\x06")
    entries = raw[at:end] * times
    return raw[:at] + entries + raw[end : end + 8] + struct.pack("<HHIIH", times, times, len(entries), at, 0)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_at_the_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = BOMBS[name]()
    monkeypatch.setattr(archives, "FREE_BYTES", 4 << 20)
    monkeypatch.setattr(archives, "RATIO", 1)
    came, reasons = 0, []
    for member in open_archive("x", io.BytesIO(raw), len(raw)):
        if isinstance(member, Unread):
            reasons.append(member.reason)
            continue
        try:
            came += sum(map(len, member.pieces))
        except OSError as error:
            reasons.append(str(error))
    assert came <= (4 << 20) + len(raw)
    assert any("more comes out of it than is looked at" in why or "zip bomb" in why for why in reasons)


def test_the_same_is_no_bomb_within_its_bounds() -> None:
    assert all(isinstance(said, bytes) for _, said in list_members(BOMBS["zip"]()))


def test_so_many_members_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MEMBERS", 3)
    for make in (make_zip, make_tar):
        assert len(list_members(make({f"{n}": b"" for n in range(3)}))) == 3
        assert list_members(make({f"{n}": b"" for n in range(4)}))[3:] == [
            ("x", "it has more than 3 members")
        ]


def test_a_header_that_would_have_to_be_held_is_refused() -> None:
    member = tarfile.TarInfo("a")
    member.type, member.size = tarfile.XHDTYPE, 8 << 30
    raw = member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    assert list_members(raw) == [("x", f"a header of it has more than {1 << 20} bytes")]


def test_memory_is_bounded_whatever_comes_out(tmp_path: Path) -> None:
    """256 MiB of zeros in 256 KiB: looked through as far as the bound, in what a scan may take."""
    write(tmp_path, {"x.gz": deflate_zeros(256)})

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    ran = scan_apart(tmp_path, "--archives", before=limit)
    assert ran.code == 2
    assert "x.gz!gzip was not looked through: more comes out of it than is looked at" in ran.err


def test_archives_of_a_change_are_looked_through_whole(tmp_path: Path) -> None:
    place = make_repository(
        tmp_path / "tree", {"x.zip": make_zip({"a.txt": token(1).encode()}), "y.txt": "one"}
    )
    assert scan(place, "--archives", "--diff", "HEAD").code == 0
    write(place, {"x.zip": make_zip({"a.txt": token(1).encode(), "b.txt": token(2).encode()})})
    git(place, "add", "-A")
    for way in (["--diff", "HEAD"], ["--staged"]):
        names = [name for name, *_ in scan(place, "--json", "--archives", *way).places]
        assert names == ["x.zip!a.txt", "x.zip!b.txt"]
    commit(place)
    assert scan(place, "--archives", "--staged").code == 0


def test_an_archive_on_standard_input_is_one(tmp_path: Path) -> None:
    ran = scan(tmp_path, "--json", "--archives", "-", text=gzip.compress(token(1).encode()))
    assert [place[0] for place in ran.places] == ["<stdin>!gzip"]
