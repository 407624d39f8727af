"""A time-stamping authority of the test's own: `openssl ts` with a certificate of its own root."""

from __future__ import annotations

import subprocess
from pathlib import Path

CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = serial
signer_cert = tsa.pem
certs = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
EXTENSIONS = (
    "extendedKeyUsage=critical,timeStamping\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
)

SCRIPT = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem \
    -subj "/CN=root" -days 30
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tsa.key -out tsa.csr -subj "/CN=tsa"
openssl x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -out tsa.pem -extfile extensions -days 20
"""


def make_authority(directory: Path) -> Path:
    """The directory of an authority; what believes it is its `root.pem`."""
    directory.mkdir()
    (directory / "extensions").write_text(EXTENSIONS)
    (directory / "tsa.cnf").write_text(CONFIGURATION)
    (directory / "serial").write_text("01\n")
    subprocess.run(["sh", "-ec", SCRIPT], cwd=directory, capture_output=True, check=True)
    return directory


def stamp(authority: Path, request: bytes) -> bytes:
    """Its answer."""
    (authority / "request").write_bytes(request)
    run(
        "openssl ts -reply -config tsa.cnf -section here -queryfile request -out answer",
        authority,
        check=True,
    )
    return (authority / "answer").read_bytes()


def is_believed_by_openssl(authority: Path, answer: bytes, message: bytes) -> bool:
    (authority / "tried").write_bytes(answer)
    (authority / "message").write_bytes(message)
    ended = run("openssl ts -verify -data message -in tried -CAfile root.pem", authority)
    return ended.returncode == 0 and "Verification: OK" in ended.stdout


def run(command: str, directory: Path, *, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command.split(), cwd=directory, capture_output=True, text=True, check=check)
