"""How programs inside come to trust the authority of their run, and the roots of its policy: their certificates
wherever one looks. Plans only.

Rule 1: what was trusted stays trusted, and what is added is, too; nothing on the host is changed.
Rule 2: a place that this machine doesn't have isn't made, but for the files that variables name.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator, Mapping

from trio_egress.kernel.steps import STAGE, Mount
from trio_egress.values import frozen

BUNDLE_FILE = f"{STAGE}/ca-bundle.pem"
AUTHORITY_FILE = f"{STAGE}/ca.pem"

ROOTS_VARIABLE = "SSL_CERT_FILE"
"""Where the caller has roots of another place than the machine's; they count for the proxy, and for the agent."""

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions have all roots in one file (as Go's crypto/x509/root_linux.go lists them)."""

FOLDERS = ("/etc/ssl/certs", "/etc/pki/tls/certs")
"""… and one a file, found by the hash of its name, as OpenSSL looks for it."""

BROWSERS = {"/etc/chromium": "policies/managed", "/etc/opt": "chrome/policies/managed"}
"""Where a managed Chromium or Chrome reads its policies. They look at no bundle and no variable."""

JAVA = ("/etc/ssl/certs/java/cacerts", "/etc/pki/java/cacerts")
"""Where distributions have a trust store for every Java; one that is unpacked somewhere brings its own."""

VARIABLES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "SSL_CERT_FILE",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "PIP_CERT",
            "CARGO_HTTP_CAINFO",
            "AWS_CA_BUNDLE",
            "HTTPLIB2_CA_CERTS",
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
            "NPM_CONFIG_CAFILE",
        ),
        BUNDLE_FILE,
    ),
    "NODE_EXTRA_CA_CERTS": AUTHORITY_FILE,
    "DENO_CERT": AUTHORITY_FILE,
}
"""For programs that bring roots of their own, by the variable that each of them reads."""

OTHERS = (
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "NIX_SSL_CERT_FILE",
    "PERL_LWP_SSL_CA_FILE",
    "npm_config_cafile",
)
"""Not needed, unless the caller has set them: then a program believes that file and no bundle."""

CERTIFICATE = re.compile(
    r"-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]*-----END (?:TRUSTED )?CERTIFICATE-----"
)
BUNDLE_CHARS = 8 << 20
"""Of one bundle; Mozilla's roots are 220,000."""

REMOVED = ("SSL_CERT_DIR",)
"""curl ignores SSL_CERT_FILE where it is set."""


@frozen
class Added:
    """A certificate in PEM, and what OpenSSL calls its file."""

    pem: str
    name_hash: str


@frozen
class Named:
    """Roots of the caller's, in PEM, of a file that these variables name."""

    variables: tuple[str, ...]
    roots: str


@frozen
class Trust:
    """What the agent is to trust besides what this machine does: `added`, the run's own authority first, if it has one.

    `roots`: in PEM, whom programs trusted so far; `named`: whom those did that the caller had told of another file.
    `java`: a trust store with all of that (text, its bytes as surrogates); `java_stores`: the files that it stands for.
    """

    added: tuple[Added, ...]
    roots: str = ""
    java: str = ""
    java_stores: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()

    @property
    def pem(self) -> str:
        """All that is added."""
        return "".join(one.pem for one in self.added)


def find_bundle() -> str:
    """The file that has all roots of this machine; empty where none has."""
    return next((path for path in BUNDLES if os.path.isfile(path)), "")


def find_java_stores(path: str) -> tuple[str, ...]:
    """The trust stores of Java on this machine, those of the one in PATH among them."""
    java = shutil.which("java", path=path)
    own = () if java is None else (os.path.join(os.path.realpath(java), "../../lib/security/cacerts"),)
    return tuple(dict.fromkeys(os.path.realpath(store) for store in (*JAVA, *own) if os.path.isfile(store)))


def find_named(environment: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The files of roots of the caller's own that programs are told of, each with the variables that name it."""
    found: dict[str, tuple[str, ...]] = {}
    for name in (*VARIABLES, *OTHERS):
        path = os.path.realpath(environment.get(name) or "/")
        if name not in (ROOTS_VARIABLE, *kept) and not _is_bundle(path) and os.path.isfile(path):
            found[path] = (*found.get(path, ()), name)
    return found


def find_variables(environment: Mapping[str, str], kept: Mapping[str, str], trust: Trust) -> dict[str, str]:
    """The agent's environment with VARIABLES in it, but for those in `kept`, and those that name a bundle as it is."""
    own = {name: _name_own(number) for number, one in enumerate(trust.named) for name in one.variables}
    others = ((name, environment.get(name) or "/") for name in VARIABLES if name != ROOTS_VARIABLE)
    good = {name for name, path in others if _is_bundle(os.path.realpath(path))}
    named = {name: path for name, path in {**VARIABLES, **own}.items() if name not in {*good, *kept}}
    return {k: v for k, v in environment.items() if k not in REMOVED or k in kept} | named


def keep_folders(trust: Trust | None) -> Iterator[Mount]:
    """While they can still be seen as they are on the host."""
    for number, folder in enumerate(_find_folders() if trust else ()):
        yield Mount("keep", f"{STAGE}/trust/{number}/lower", folder)


def plan_trust(trust: Trust | None, owner: int, group: int) -> Iterator[Mount]:
    """Before everything is made read-only."""
    if trust is None:
        return
    for number, folder in enumerate(_find_folders()):
        top = f"{STAGE}/trust/{number}/top"
        for name, text in _find_additions(folder, trust).items():
            yield Mount("file", f"{top}/{name}", text)
        yield Mount("layer", folder, f"{STAGE}/trust/{number}/lower", owner=owner, group=group, top=top)
    for number, path in enumerate(dict.fromkeys(os.path.realpath(bundle) for bundle in BUNDLES)):
        with contextlib.suppress(OSError):  # not there, or nobody's to read
            yield Mount("file", f"{STAGE}/trust/bundle-{number}", read_certificates(path) + trust.pem)
            yield Mount("bind", path, f"{STAGE}/trust/bundle-{number}", read_only=True)
    if trust.java_stores:
        yield Mount("file", f"{STAGE}/trust/java", trust.java)
    for path in trust.java_stores:
        yield Mount("bind", path, f"{STAGE}/trust/java", read_only=True, optional=True)


def plan_named(trust: Trust | None) -> Iterator[Mount]:
    """The files that VARIABLES name; in a /run that is the run's own."""
    if trust is not None:
        yield Mount("file", AUTHORITY_FILE, trust.pem)
        yield Mount("file", BUNDLE_FILE, trust.roots + trust.pem)
        for number, one in enumerate(trust.named):
            yield Mount("file", _name_own(number), one.roots + trust.pem)


def _is_bundle(path: str) -> bool:
    return path in {os.path.realpath(bundle) for bundle in BUNDLES}


def _name_own(number: int) -> str:
    return f"{STAGE}/ca-{number}.pem"


def _find_folders() -> list[str]:
    places = dict.fromkeys(os.path.realpath(folder) for folder in (*FOLDERS, *BROWSERS))
    return [folder for folder in places if os.path.isdir(folder)]


def _find_additions(folder: str, trust: Trust) -> dict[str, str]:
    below = BROWSERS.get(folder)
    if below is None:
        return _name_files(folder, trust)
    encoded = ", ".join(f'"{"".join(one.pem.splitlines()[1:-1])}"' for one in trust.added)
    return {f"{below}/trio-egress.json": f'{{"CACertificates": [{encoded}]}}\n'}


def _name_files(folder: str, trust: Trust) -> dict[str, str]:
    """By hash and number: the machine, or another one that is added, may have a root of the same name."""
    named: dict[str, str] = {}
    for one in trust.added:
        names = (f"{one.name_hash}.{number}" for number in itertools.count())
        name = next(n for n in names if n not in named and not os.path.lexists(os.path.join(folder, n)))
        named[name] = one.pem
    return named


def read_certificates(path: str) -> str:
    """Those in a bundle and nothing else of it: whoever names a file by a variable doesn't show it to the agent.

    Raises OSError.
    """
    with open(path, encoding="latin-1") as file:
        return "".join(f"{one}\n" for one in CERTIFICATE.findall(file.read(BUNDLE_CHARS)))
