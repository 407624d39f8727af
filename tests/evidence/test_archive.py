"""A packet as one zip."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, write_chain
from tests.evidence.test_packet import make_packet

from trio_egress.errors import EvidenceError
from trio_egress.evidence import archive
from trio_egress.evidence.archive import read_index, write_archive
from trio_egress.evidence.container import Zip, find_packet, measure_file, read_file
from trio_egress.evidence.verify import verify

FILES = {"a.txt": b"one", "b.txt": b"", "evidence.jsonl": b"".join(write_chain())}

BYTES = "10b992ec0e5ad721aca1fb05711b8c464c519bd68878f9b106d99d63de5e8d58"


def test_the_bytes_are_the_same_on_every_python(tmp_path: Path) -> None:
    for name, text in (("a.txt", "one\n"), ("b.json", "{}" * 1000)):
        (tmp_path / name).write_text(text)
    made = tmp_path / "made"
    with made.open("w+b") as stream:
        write_archive(stream, ((name, 0, (tmp_path / name).open("rb")) for name in ("a.txt", "b.json")))
    assert sha256(made.read_bytes()).hexdigest() == BYTES


def pack(files: dict[str, bytes]) -> bytes:
    """What `packet pack` makes of these files."""
    made = io.BytesIO()
    write_archive(made, ((name, len(raw), io.BytesIO(raw)) for name, raw in files.items()))
    return made.getvalue()


def pack_otherwise(files: dict[str, bytes], **options: int) -> bytes:
    """A zip as other programs make it."""
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", **options) as zipped:  # type: ignore[call-overload]
        warnings.simplefilter("ignore")  # a name that stands twice
        for name, raw in files.items():
            zipped.writestr(name, raw)
    return made.getvalue()


PACKED = pack(FILES)


def read(raw: bytes) -> dict[str, bytes]:
    index = read_index(io.BytesIO(raw))
    return {name: raw[where.offset : where.offset + where.size] for name, where in index.items()}


def test_what_was_packed_is_read() -> None:
    assert read(PACKED) == FILES
    assert read(pack({})) == {}


def test_no_byte_of_a_zip_can_be_changed_added_or_left_out() -> None:
    raw = pack({"a.txt": b"one", "b.txt": b"two"})
    for at in range(len(raw)):
        for changed in (
            raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :],
            raw[:at] + bytes([raw[at] ^ 0x80]) + raw[at + 1 :],
            raw[:at] + b"\0" + raw[at:],
            raw[:at] + raw[at + 1 :],
            raw[:at],
        ):
            with pytest.raises(EvidenceError):
                read_index(io.BytesIO(changed))
    with pytest.raises(EvidenceError):
        read_index(io.BytesIO(raw + b"\0"))


def with_name_twice() -> bytes:
    return PACKED.replace(b"b.txt", b"a.txt")


def with_flag(bit: int) -> bytes:
    raw = bytearray(PACKED)
    raw[PACKED.index(b"PK\3\4") + 6] |= bit
    raw[PACKED.index(b"PK\1\2") + 8] |= bit
    return bytes(raw)


def with_first_file_at(offset: int) -> bytes:
    """A zip64 that says its first file is there."""
    start, end = PACKED.index(b"PK\1\2"), PACKED.index(b"PK\5\6")
    entry = bytearray(PACKED[start:end])
    size = entry[24:28] + bytes(4)
    extra = struct.pack("<HH8s8sQ", 1, 24, size, size, offset)
    entry[20:28] = b"\xff" * 8
    entry[30:32] = struct.pack("<H", len(extra))
    entry[42:46] = b"\xff" * 4
    entry[46 + len("a.txt") : 46 + len("a.txt")] = extra
    tail = bytearray(PACKED[end:])
    tail[12:16] = struct.pack("<I", len(entry))
    return PACKED[:start] + entry + tail


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: with_first_file_at(0), "not, byte for byte"),
        (lambda: with_first_file_at(2**64 - 1), "asks for more than a packet's has"),
        (lambda: pack_otherwise(FILES, compression=zipfile.ZIP_DEFLATED), "is compressed"),
        (
            lambda: pack_otherwise({"bomb.txt": b"0" * (10 << 20)}, compression=zipfile.ZIP_BZIP2),
            "is compressed",
        ),
        (lambda: pack_otherwise(FILES), "not, byte for byte"),
        (lambda: pack({"b.txt": b"", "a.txt": b""}), "not, byte for byte"),
        (lambda: PACKED + b"behind", "not, byte for byte"),
        (lambda: b"PK before" + PACKED, "not, byte for byte"),
        (with_name_twice, "stands there twice"),
        (lambda: PACKED.replace(b"b.txt", b"A.txt"), "differs from another by case alone"),
        (lambda: PACKED.replace(b"b.txt", b"../bx"), "is no name"),
        (lambda: PACKED.replace(b"b.txt", b"/b.tx"), "is no name"),
        (lambda: PACKED.replace(b"b.txt", b"b/txt"), "is no name"),
        (lambda: PACKED.replace(b"b.txt", b"b\\txt"), "is no name"),
        (lambda: PACKED.replace(b"b.txt", b".btxt"), "is no name"),
        (lambda: pack_otherwise({"folder/": b""}), "is no name"),
        (lambda: with_flag(1), "is encrypted"),
        (lambda: with_flag(8), "not, byte for byte"),
        (lambda: PACKED[:-1], "no zip that can be read"),
        (lambda: b"PK", "no zip that can be read"),
        (lambda: PACKED.replace(b"one", b"two"), "no zip that can be read"),
    ],
)
def test_any_other_zip_is_refused_in_words(make: Callable[[], bytes], said: str, tmp_path: Path) -> None:
    assert read(PACKED) == FILES
    with pytest.raises(EvidenceError, match=said):
        read_index(io.BytesIO(make()))
    path = tmp_path / "packet.zip"
    path.write_bytes(make())
    report = verify(path, [KEY.public_hex])
    assert (report.exit_code, report.findings) == (2, ())
    assert said in report.error


def test_files_that_lie_over_one_another_are_refused_before_any_is_read() -> None:
    """In the list of files the second begins where the first does, and both are all that there is."""
    raw = bytearray(pack({"a.txt": b"x" * 1000, "b.txt": b"y" * 1000}))
    first = raw.index(b"PK\1\2")
    second = raw.index(b"PK\1\2", first + 1)
    for entry in (first, second):
        raw[entry + 20 : entry + 28] = struct.pack("<II", 2000, 2000)
    raw[second + 42 : second + 46] = bytes(4)
    with pytest.raises(EvidenceError, match="lie over one another"):
        read_index(io.BytesIO(bytes(raw)))


def test_a_list_of_files_that_is_too_long_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "DIRECTORY_BYTES", 100)
    with pytest.raises(EvidenceError, match="too long for a packet"):
        read_index(io.BytesIO(PACKED))


def test_a_packet_is_valid_as_a_directory_and_as_a_zip_and_nothing_is_unpacked(tmp_path: Path) -> None:
    directory, path = tmp_path / "packet", tmp_path / "packet.zip"
    directory.mkdir()
    make_packet(directory)
    path.write_bytes(pack({name: (directory / name).read_bytes() for name in sorted(os.listdir(directory))}))
    before = sorted(tmp_path.rglob("*"))
    report = verify(path, [KEY.public_hex])
    assert (report.exit_code, report.findings) == (0, ())
    assert sorted(tmp_path.rglob("*")) == before
    packet = find_packet(path)
    assert isinstance(packet, Zip)
    assert packet.list_names() == sorted(os.listdir(directory))
    assert read_file(packet, "packet.json") == (directory / "packet.json").read_bytes()
    assert (
        measure_file(packet, "evidence.jsonl", 1 << 40).size == (directory / "evidence.jsonl").stat().st_size
    )
    with pytest.raises(EvidenceError, match=r"there is no none\.txt in this zip"):
        packet.open("none.txt")


def test_what_is_wrong_with_a_packet_is_found_in_its_zip(tmp_path: Path) -> None:
    make_packet(tmp_path)
    files = {name: (tmp_path / name).read_bytes() for name in sorted(os.listdir(tmp_path))}
    path = tmp_path / "packet.zip"
    for changed, found in (
        ({**files, "verifier.txt": b"VALID"}, {"manifest.changed"}),
        ({**files, "zzz.txt": b""}, {"manifest.extra"}),
        ({name: raw for name, raw in files.items() if name != "manifest.json"}, {"manifest.missing"}),
        (
            {name: raw for name, raw in files.items() if name != "verifier.txt"},
            {"manifest.file", "packet.file"},
        ),
    ):
        path.write_bytes(pack(changed))
        report = verify(path, [KEY.public_hex])
        assert ({finding.code for finding in report.findings}, report.exit_code) == (found, 1)
