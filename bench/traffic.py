"""Ordinary traffic, for `bench/alarms.py`: messages of some 15 kinds, cut from what is on this machine.

Nothing is made up but its form: JSON answers carry what packages say of themselves, models' answers carry
documentation. What a kind finds depends on the machine; the choice from it on the seed alone.
"""

from __future__ import annotations

import email
import gzip
import json
import os
import random
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SMALLEST, LARGEST = 1024, 64 * 1024
FILE_BYTES = 4 << 20
"""More of a file is not read."""

PIECES = 12
"""Messages of one file, at most, so that a kind is of many files."""

PACKAGES = [
    *("jquery", "lodash", "react-dom", "vue", "d3", "three", "bootstrap", "highlight.js", "mermaid"),
    *("chart.js", "moment", "rxjs", "axios", "marked", "handlebars", "katex"),
]
"""Of npm, for scripts as they are delivered."""


class Message(NamedTuple):
    kind: str
    source: str
    data: bytes


class File(NamedTuple):
    source: str
    data: bytes


Source = Callable[[random.Random], Iterator[File]]


def find_files(chance: random.Random, roots: list[Path], endings: tuple[str, ...]) -> Iterator[Path]:
    """Files below, in random order, each once."""
    found = []
    for root in roots:
        for directory, names, files in os.walk(root):
            names[:] = [name for name in names if name not in (".git", "proc", "sys")]
            found += [os.path.join(directory, name) for name in files if name.endswith(endings)]
    found.sort()
    chance.shuffle(found)
    yield from map(Path, found)


def read_files(*roots: str | Path, endings: tuple[str, ...] = ("",)) -> Source:
    def read(chance: random.Random) -> Iterator[File]:
        for path in find_files(chance, [Path(root) for root in roots], endings):
            if path.is_symlink() or not path.is_file():
                continue
            try:
                with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                    data = file.read(FILE_BYTES)
            except (OSError, EOFError):
                continue
            yield File(str(path), data)

    return read


def read_members(*roots: str | Path) -> Source:
    """What is in archives of packages: wheels, jars, tarballs; and those of Debian as they are."""

    def read(chance: random.Random) -> Iterator[File]:
        endings = (".whl", ".jar", ".zip", ".tar.gz", ".tgz", ".deb", ".gem")
        for path in find_files(chance, [Path(root) for root in roots], endings):
            try:
                yield File(str(path), path.read_bytes()[:FILE_BYTES])
                if zipfile.is_zipfile(path):
                    with zipfile.ZipFile(path) as archive:
                        names = [info for info in archive.infolist() if 256 < info.file_size < FILE_BYTES]
                        for info in chance.sample(names, min(20, len(names))):
                            yield File(f"{path}!{info.filename}", archive.read(info))
                elif path.name.endswith(("gz", ".gem")):
                    with tarfile.open(path) as tar:
                        for member in tar:
                            if member.isfile() and 256 < member.size < FILE_BYTES:
                                yield File(f"{path}!{member.name}", tar.extractfile(member).read())  # type: ignore[union-attr]
            except (
                OSError,
                EOFError,
                tarfile.TarError,
                zipfile.BadZipFile,
                RuntimeError,
                NotImplementedError,
            ):
                continue

    return read


def make_answers(*roots: str | Path) -> Source:
    """JSON as registries answer: what a package says of itself, and its files with their hashes."""

    def read(chance: random.Random) -> Iterator[File]:
        paths = find_files(chance, [Path(root) for root in roots], ("METADATA", "PKG-INFO", "package.json"))
        for path in paths:
            try:
                raw = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if path.name == "package.json":
                told: object = {"_id": path.parent.name, "dist": raw, "readme": _read_near(path, "README.md")}
            else:
                fields = email.message_from_string(raw)
                files = _read_near(path, "RECORD").splitlines()
                told = {
                    "info": {
                        **{name.lower(): value for name, value in fields.items()},
                        "description": fields.get_payload(),
                    },
                    "urls": [
                        dict(zip(("filename", "digest", "size"), line.split(","), strict=False))
                        for line in files
                    ],
                }
            yield File(f"{path} as JSON", json.dumps(told, ensure_ascii=chance.random() < 0.5).encode())

    return read


def _read_near(path: Path, name: str) -> str:
    near = path.with_name(name)
    return near.read_text("utf-8", "replace") if near.is_file() else ""


def make_model_text(*roots: str | Path) -> Source:
    """Answers of a model's API, whole and streamed, that hold documentation."""
    texts = read_files(*roots, endings=(".md", ".rst", ".txt", ".gz"))

    def read(chance: random.Random) -> Iterator[File]:
        for source, data in texts(chance):
            text = data[:60_000].decode("utf-8", "replace")
            if chance.random() < 0.5:
                said = [
                    {"role": "assistant", "content": text[at : at + 4000]} for at in range(0, len(text), 4000)
                ]
                answer = json.dumps({"id": "msg_01", "type": "message", "messages": said}, ensure_ascii=False)
            else:
                words = [text[at : at + 40] for at in range(0, min(len(text), 8000), 40)]
                answer = "".join(
                    f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': word}}]})}\n\n"
                    for word in words
                )
            yield File(f"{source} as a model's answer", answer.encode())

    return read


def make_patches(repository: Path) -> Source:
    def read(chance: random.Random) -> Iterator[File]:
        # But for what is about scanning, which is full of examples.
        others = [":!*content*", ":!*scan*", ":!bench", ":!fuzz", ":!CHANGELOG.md"]
        command = ["git", "-C", str(repository), "log", "-p", "--no-color", "-n", "400", "--", ".", *others]
        log = subprocess.run(command, capture_output=True, check=False).stdout
        for place, patch in enumerate(log.split(b"\ncommit ")):
            yield File(f"{repository}: patch {place}", patch)

    return read


def list_kinds(scripts: Path) -> dict[str, Source]:
    """Each kind with where it is from. `scripts`: where npm has put PACKAGES."""
    packages = sysconfig.get_path("purelib")
    library = sysconfig.get_path("stdlib")
    rust = [str(path) for path in Path.home().glob(".rustup/toolchains/*/share/doc")]
    code = (
        ".c",
        ".h",
        ".go",
        ".rs",
        ".java",
        ".rb",
        ".pl",
        ".pm",
        ".sh",
        ".ts",
        ".cc",
        ".hpp",
        ".lua",
        ".el",
    )
    return {
        "documentation": read_files("/usr/share/doc", "/usr/share/info"),
        "manual pages": read_files("/usr/share/man"),
        "HTML": read_files("/usr/share", *rust, packages, endings=(".html", ".htm", ".xhtml")),
        "Python sources": read_files(packages, library, endings=(".py", ".pyi")),
        "other sources": read_files("/usr/include", "/usr/share", "/usr/lib", endings=code),
        "scripts for browsers": read_files(
            scripts, "/usr/share", *rust, packages, endings=(".js", ".mjs", ".css", ".map")
        ),
        "message catalogues": read_files(
            "/usr/share/locale", "/usr/lib", packages, Path.home() / ".cache", endings=(".mo", ".po")
        ),
        "package files": read_members(
            "/var/cache/apt/archives", Path.home() / ".cache", "/usr/share", "/usr/lib"
        ),
        "JSON answers": make_answers(
            packages, "/usr/lib", "/usr/share", scripts, *map(str, Path("/opt").glob("*/lib"))
        ),
        "models' answers": make_model_text("/usr/share/doc", packages, scripts),
        "JSON, YAML, TOML, XML": read_files(
            "/usr/share",
            "/usr/lib",
            packages,
            scripts,
            endings=(".json", ".yaml", ".yml", ".toml", ".xml", ".svg"),
        ),
        "lock files and records": read_files(
            scripts,
            "/usr/share",
            "/usr/lib",
            "/opt",
            endings=("package-lock.json", ".lock", "go.sum", "RECORD", ".md5sums", ".sha256"),
        ),
        "images and fonts": read_files(
            "/usr/share",
            packages,
            *rust,
            endings=(".png", ".jpg", ".gif", ".ico", ".woff", ".woff2", ".ttf", ".pdf"),
        ),
        "programs": read_files("/usr/lib", "/usr/bin", endings=(".so", ".pyc", ".a", "")),
        "patches": make_patches(Path(__file__).parents[1]),
        "texts in Markdown": read_files(
            "/usr/share", "/usr/lib", packages, scripts, *rust, "/opt", endings=(".md", ".rst")
        ),
    }


def cut_messages(kind: str, files: Iterator[File], chance: random.Random, count: int) -> Iterator[Message]:
    """So many messages of sizes that are as often from 1 to 2 KiB as from 32 to 64."""
    left = count
    for source, data in files:
        at = 0
        for _ in range(PIECES):
            if at >= len(data) or not left:
                break
            size = int(SMALLEST * (LARGEST / SMALLEST) ** chance.random())
            yield Message(kind, f"{source}+{at}", data[at : at + size])
            left -= 1
            at += size
        if not left:
            return


def make_traffic(count: int, seed: int, scripts: Path) -> Iterator[Message]:
    """Some `count` messages, as many of each kind as there are."""
    kinds = list_kinds(scripts)
    for kind, source in kinds.items():
        chance = random.Random(f"{seed} {kind}")  # noqa: S311  the same ones each time
        yield from cut_messages(kind, source(chance), chance, -(-count // len(kinds)))


def fetch_scripts(directory: Path) -> None:
    """PACKAGES, by npm, once."""
    if not (directory / "node_modules").is_dir():
        print(f"fetching {len(PACKAGES)} packages into {directory}", file=sys.stderr)
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([*command, "--prefix", str(directory), *PACKAGES], check=True)
