"""A packet as one zip."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from trio_egress.evidence.archive import write_archive

BYTES = "10b992ec0e5ad721aca1fb05711b8c464c519bd68878f9b106d99d63de5e8d58"


def test_the_bytes_are_the_same_on_every_python(tmp_path: Path) -> None:
    for name, text in (("a.txt", "one\n"), ("b.json", "{}" * 1000)):
        (tmp_path / name).write_text(text)
    made = tmp_path / "made"
    with made.open("w+b") as stream:
        write_archive(stream, ((name, (tmp_path / name).open("rb")) for name in ("a.txt", "b.json")))
    assert sha256(made.read_bytes()).hexdigest() == BYTES
