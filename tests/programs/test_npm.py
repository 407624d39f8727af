"""npm, from a registry over HTTPS, and node's worker threads."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.programs.jobs import run_job
from tests.programs.servers import Web
from tests.runs.launch import Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

REGISTRY = "https://index.example.com/npm/"
ELSEWHERE = "https://evil.example/elsewhere-1.0.0.tgz"
QUIET = {"npm_config_audit": "false", "npm_config_fund": "false", "npm_config_update_notifier": "false"}


def pack(manifest: dict[str, Any], files: dict[str, str]) -> bytes:
    """A package as npm fetches it: a gzipped tar of `package/`."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, text in {"package.json": json.dumps(manifest), **files}.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size, info.mode = len(text), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


def publish(folder: Path, name: str, files: dict[str, str], **manifest: Any) -> None:
    """One version of a package and its document, as files that any web server can serve."""
    own = {"name": name, "version": "1.0.0", **manifest}
    raw = pack(own, files)
    (folder / f"{name}-1.0.0.tgz").write_bytes(raw)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(raw).digest()).decode("ascii")
    dist = {"tarball": f"{REGISTRY}{name}-1.0.0.tgz", "integrity": integrity}
    document = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {**own, "dist": dist}}}
    (folder / name).write_text(json.dumps(document))


@pytest.fixture(scope="module")
def registry(one_web: Web) -> str:
    folder = one_web.root / "npm"
    folder.mkdir()
    program = "#!/usr/bin/env node\nconsole.log(require('te-sample'))\n"
    build = "require('fs').writeFileSync('built', process.env.npm_lifecycle_event)\n"
    publish(folder, "te-sample", {"index.js": "module.exports = 'it came through the sandbox'\n"})
    publish(
        folder,
        "te-program",
        {"program.js": program, "build.js": build},
        dependencies={"te-sample": "^1.0.0"},
        bin={"te-program": "program.js"},
        scripts={"install": "node build.js"},
        hasInstallScript=True,
    )
    publish(folder, "te-needy", {"index.js": ""}, dependencies={"elsewhere": ELSEWHERE})
    return REGISTRY


INSTALL = """
echo '{"name": "job", "version": "1.0.0", "scripts": {"test": "te-program"}}' >package.json
npm install --registry "$1" --cafile "$2" --fetch-retries 0 --no-progress "$3"
npm test --silent
cat node_modules/te-program/built
"""


def test_a_tree_of_packages_is_installed_built_and_run(place: Place, web: Web, registry: str) -> None:
    policy = write_policy("index.example.com", pins=web.pins("index.example.com"))
    ended = run_job(place, INSTALL, registry, web.authority, "te-program", policy=policy, environment=QUIET)
    assert ended.code == 0, ended.err
    assert ended.text.splitlines()[-2:] == ["it came through the sandbox", "install"]
    assert {outcome.facts["host"] for outcome in ended.outcomes} == {"index.example.com"}
    asked = {request["uri"].rpartition("/")[2] for request in web.take_requests()}
    assert asked == {"te-program", "te-sample", "te-program-1.0.0.tgz", "te-sample-1.0.0.tgz"}
    assert ended.blocks == []
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_an_allowed_package_cannot_pull_one_from_elsewhere(place: Place, web: Web, registry: str) -> None:
    policy = write_policy("index.example.com", pins=web.pins("index.example.com", "evil.example"))
    ended = run_job(place, INSTALL, registry, web.authority, "te-needy", policy=policy, environment=QUIET)
    assert ended.code != 0
    assert {query.target for query in ended.queries if query.verdict == "block"} == {"dns:evil.example"}
    assert not any("elsewhere" in request["uri"] for request in web.take_requests())
    assert ended.verify() == 0


THREADS = """
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads')
const { fork } = require('child_process')
const crypto = require('crypto')
const fs = require('fs')
if (process.send) {
  process.send('child ' + process.argv[2])
} else if (!isMainThread) {
  const counter = new Int32Array(workerData)
  for (let n = 0; n < 1000; n++) Atomics.add(counter, 0, 1)
  parentPort.postMessage(crypto.pbkdf2Sync('a', 'b', 1000, 8, 'sha256').toString('hex'))
} else {
  const shared = new SharedArrayBuffer(4)
  const worker = () => new Promise((done, fail) =>
    new Worker(__filename, { workerData: shared }).once('message', done).once('error', fail))
  const child = (n) => new Promise((done) => fork(__filename, [n]).once('message', done))
  const seen = new Promise((done) => fs.watch('.', (_, name) => name === 'watched' && done(name)))
  Promise.all([1, 2, 3, 4].map(worker)).then(async (hashes) => {
    fs.writeFileSync('watched', '')
    const told = [new Set(hashes).size, new Int32Array(shared)[0], await child('a'), await seen]
    console.log(JSON.stringify(told))
    process.exit(0)
  })
}
"""


def test_node_has_threads_shared_memory_children_and_file_events(place: Place) -> None:
    program = place.write("threads.js", THREADS)
    ended = run_job(place, 'node "$1"', program, environment={"NODE_OPTIONS": ""})
    assert (ended.code, json.loads(ended.out)) == (0, [1, 4000, "child a", "watched"])
    assert ended.receipts == []
    assert ended.verify() == 0
