"""pip, from an index over HTTPS."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.programs.servers import Web
from tests.runs.launch import Ended, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

ELSEWHERE = "trio_egress_elsewhere-1.0-py3-none-any.whl"
PACKAGE, VERSION, WORD = "trio-egress-sample", "1.0", "it came through the sandbox"


def write_wheel(folder: Path, name: str, requires: str = "") -> None:
    """A wheel of one module, and the page of the index that lists it (PEP 427, PEP 503)."""
    module = name.replace("-", "_")
    info = f"{module}-{VERSION}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{module}.py": f"WORD = {WORD!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    page = folder / name
    page.mkdir(parents=True)
    wheel = f"{module}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(page / wheel, "x") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    (page / "index.html").write_text(
        f'<!DOCTYPE html><html><body><a href="{wheel}">{wheel}</a></body></html>'
    )


def digest(text: str) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


@pytest.fixture(scope="module")
def index(one_web: Web) -> str:
    folder = one_web.root / "simple"
    write_wheel(folder, PACKAGE)
    write_wheel(
        folder, f"{PACKAGE}-needy", requires=f"trio-egress-elsewhere @ https://evil.example/{ELSEWHERE}"
    )
    return "https://index.example.com/simple/"


@pytest.fixture(scope="module")
def pip() -> list[str]:
    """A pip that every user can start and that installs into another environment (`--python`, since 22.3)."""
    candidates = [
        sys.executable,
        getattr(sys, "_base_executable", ""),
        "/usr/bin/python3",
        shutil.which("python3"),
    ]
    for python in filter(None, candidates):
        command = [python, "-m", "pip"]
        ran = subprocess.run([*command, "--python", python, "-V"], capture_output=True, check=False)
        parents = Path(python).resolve().parents
        if ran.returncode == 0 and all(parent.stat().st_mode & 0o001 for parent in parents):
            return command
    raise AssertionError("no pip of version 22.3 or later that every user can start")


INSTALL = """
set -e
"$PYTHON" -m venv --without-pip venv
"$@" --isolated --python venv/bin/python install -q --disable-pip-version-check --no-cache-dir --no-input --retries 0 \\
  --index-url "$INDEX" --cert "$CERT" "$PACKAGE"
venv/bin/python -I -c 'import trio_egress_sample; print(trio_egress_sample.WORD)'
"""


def install(place: Place, web: Web, pip: list[str], index: str, policy: str, package: str) -> Ended:
    base = getattr(sys, "_base_executable", sys.executable)
    python = base if os.access(base, os.X_OK) else sys.executable
    variables = {"PYTHON": python, "INDEX": index, "CERT": str(web.authority), "PACKAGE": package}
    return place.run(policy, "sh", "-c", INSTALL, "sh", *pip, environment=variables)


def test_a_package_comes_from_an_allowed_index(place: Place, web: Web, pip: list[str], index: str) -> None:
    policy = write_policy("index.example.com", pins=web.pins("index.example.com"))
    ended = install(place, web, pip, index, policy, PACKAGE)
    assert (ended.code, ended.text) == (0, f"{WORD}\n")
    assert {outcome.facts["host"] for outcome in ended.outcomes} == {"index.example.com"}
    assert [r["uri"].rpartition("/")[2] for r in web.take_requests()] == [
        "",
        f"{PACKAGE.replace('-', '_')}-{VERSION}-py3-none-any.whl",
    ]
    assert ended.blocks == []
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_denied_index_fails_with_its_name(place: Place, web: Web, pip: list[str], index: str) -> None:
    policy = write_policy("api.example.com", pins=web.pins("api.example.com", "index.example.com"))
    ended = install(place, web, pip, index, policy, PACKAGE)
    assert ended.code == 1
    assert "denied dns:index.example.com: no rule allows index.example.com" in ended.err
    assert web.take_requests() == []
    assert ended.outcomes == []
    assert ended.verify() == 0


def test_an_allowed_package_cannot_pull_one_from_elsewhere(
    place: Place, web: Web, pip: list[str], index: str
) -> None:
    policy = write_policy("index.example.com", pins=web.pins("index.example.com", "evil.example"))
    ended = install(place, web, pip, index, policy, f"{PACKAGE}-needy")
    assert ended.code == 1
    assert {query.target for query in ended.queries if query.verdict == "block"} == {"dns:evil.example"}
    assert not any(ELSEWHERE in request["uri"] for request in web.take_requests())
    assert ended.verify() == 0
