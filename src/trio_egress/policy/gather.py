"""Follows the includes of a policy: the policy and every file that belongs to it, each once.

Opens no file itself: the caller brings what reads one. Presets come with the package.

Rule 1: every file is a policy of its own, under the same rules; a file that includes itself, by whatever way, is an
        error. At most INCLUDES_MAX files, DEPTH_MAX deep, POLICY_BYTES in all.
Rule 2: what is pinned by a SHA-256 and has another one is an error.
Rule 3: PolicyError is raised with the problems of all files, each where its writer can mend it.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.includes import INCLUDES_MAX, Include, name_from, resolve_name
from trio_egress.policy.part import POLICY_BYTES, Part, decode_policy, read_part
from trio_egress.policy.presets import PRESET
from trio_egress.policy.roots import Root, read_roots
from trio_egress.policy.rule import Source
from trio_egress.policy.sought import DetectorFile, check_detectors
from trio_egress.texts.faults import PROBLEMS_MAX, show
from trio_egress.texts.positions import Path

DEPTH_MAX = 8

Read = Callable[[str], bytes]
"""Gives the bytes of an included file by its name, from the directory of the policy. Raises OSError."""


def gather(text: str, file: str, read: Read | None, presets: Read) -> tuple[Part, ...]:
    """The policy first, then each include where it is first named, depth first."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) > POLICY_BYTES:
        raise PolicyError((Problem(file, 1, 1, f"a policy has at most {POLICY_BYTES} bytes"),))
    root = Source(posixpath.basename(file), text, hashlib.sha256(raw).hexdigest())
    gathering = _Gathering(file, read, presets, POLICY_BYTES - len(raw))
    gathering.add(root, ())
    if gathering.problems:
        raise PolicyError(tuple(gathering.problems))
    return tuple(gathering.parts)


class _Gathering:
    """One walk over the includes."""

    def __init__(self, file: str, read: Read | None, presets: Read, bytes_left: int) -> None:
        self.file = file
        self.read = read
        self.presets = presets
        self.bytes_left = bytes_left
        self.sources: dict[str, Source] = {}
        self.beside: dict[str, bytes] = {}
        self.parts: list[Part] = []
        self.problems: list[Problem] = []

    def add(self, source: Source, chain: tuple[str, ...]) -> None:
        """`chain` is how this file was come to: the names of the files that include it, outermost first."""
        try:
            part = read_part(source, self._show(source.name) if chain else self.file)
        except PolicyError as error:
            self.problems += error.problems
            return
        self.parts.append(self._add_beside(part))
        for place, include in enumerate(part.document.include):
            if len(self.problems) >= PROBLEMS_MAX:
                return
            try:
                self._follow(include, (*chain, source.name))
            except PolicyError as error:
                self.problems += error.problems
            except ValueError as error:
                self.problems.append(part.make_problem(("include", place), str(error)))

    def _add_beside(self, part: Part) -> Part:
        """The part with the files of roots and of detectors that it names."""
        roots: list[Root] = []
        detectors: list[DetectorFile] = []
        beside: dict[str, Source] = {}
        naming, tables = part.source.name, part.document
        for place, named in enumerate(tables.tls.extra_ca):
            with self._telling(part, ("tls", "extra_ca", place)):
                source, pem = self._read_beside(named, naming, read_roots)
                roots.append(Root(source.name, source.sha256, pem))
                beside[source.name] = source
        for place, named in enumerate(tables.scan.detector_files):
            with self._telling(part, ("scan", "detector_files", place)):
                source, text = self._read_beside(named, naming, check_detectors)
                detectors.append(DetectorFile(source.name, source.sha256, text))
                beside[source.name] = source
        return attrs.evolve(
            part, roots=tuple(roots), detectors=tuple(detectors), beside=tuple(beside.values())
        )

    @contextmanager
    def _telling(self, part: Part, path: Path) -> Iterator[None]:
        """What is wrong with a file is told at its name."""
        try:
            yield
        except ValueError as error:
            self.problems.append(part.make_problem(path, str(error)))

    def _read_beside(
        self, named: Include, naming: str, read: Callable[[bytes, str], str]
    ) -> tuple[Source, str]:
        """A file that is no policy, and what `read` makes of it. Raises ValueError."""
        name = name_from(naming, named.target)
        raw = self.beside.get(name)
        if raw is None:
            self._count_file()
            raw = self._read_bytes(name)
        text = read(raw, name)
        if name not in self.beside:
            self._count_bytes(raw)
            self.beside[name] = raw
        source = Source(name, raw.decode("utf-8"), hashlib.sha256(raw).hexdigest())
        _check_pin(named, source)
        return source, text

    def _follow(self, include: Include, chain: tuple[str, ...]) -> None:
        name = resolve_name(chain[-1], include)
        if name in chain:
            way = ", which includes ".join(map(show, (*chain[chain.index(name) :], name)))
            raise ValueError(f"a file can't include itself: {way}")
        source = self.sources.get(name)
        is_new = source is None
        if source is None:
            if len(chain) > DEPTH_MAX:
                raise ValueError(f"includes are nested more than {DEPTH_MAX} deep")
            self._count_file()
            source = self.sources[name] = self._open(name)
        _check_pin(include, source)
        if is_new:
            self.add(source, chain)

    def _open(self, name: str) -> Source:
        raw = self._read_bytes(name)
        self._count_bytes(raw)
        return Source(name, decode_policy(raw, self._show(name)), hashlib.sha256(raw).hexdigest())

    def _count_file(self) -> None:
        if len(self.sources) + len(self.beside) == INCLUDES_MAX:
            raise ValueError(f"a policy includes at most {INCLUDES_MAX} files, all in all")

    def _count_bytes(self, raw: bytes) -> None:
        if len(raw) > self.bytes_left:
            raise ValueError(f"a policy with all that it includes has at most {POLICY_BYTES} bytes")
        self.bytes_left -= len(raw)

    def _read_bytes(self, name: str) -> bytes:
        read = self.presets if name.startswith(PRESET) else self.read
        if read is None:
            raise ValueError(f"{show(name)} can't be read here: only presets can be included in this policy")
        try:
            return read(name)
        except OSError as error:
            raise ValueError(f"cannot read {show(name)}: {error.strerror or error}") from None

    def _show(self, name: str) -> str:
        return name if name.startswith(PRESET) else posixpath.join(posixpath.dirname(self.file), name)


def _check_pin(named: Include, source: Source) -> None:
    if named.sha256 not in (None, source.sha256):
        raise ValueError(
            f"{show(source.name)} is not what was pinned: it has sha256 {source.sha256}; look at what has changed, "
            "then write that"
        )
