"""What a run needs to end TLS: made where the policy asks for it, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from trio_egress.errors import SandboxError
from trio_egress.policy.load import load_policy
from trio_egress.proxy.certificates import render_java_store
from trio_egress.runtime.interception import find_trust, open_interception

HEAD = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "api.example"\n'
PLAIN = load_policy(HEAD, "agent.toml")
SEEING = load_policy(f'{HEAD}methods = ["GET"]\n', "agent.toml")


def test_a_policy_that_sees_nothing_needs_nothing() -> None:
    assert open_interception(PLAIN, "run") is None
    assert find_trust(PLAIN, None, {}) is None


def test_roots_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    interception = open_interception(SEEING, "run")
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(SandboxError, match=r"cannot read .*; mend or unset SSL_CERT_FILE"):
            find_trust(SEEING, interception, {"SSL_CERT_FILE": str(missing)})


def test_a_certificate_that_is_none_spoils_no_bundle(tmp_path: Path) -> None:
    """Nor the trust store that is made of it, where this machine has Java."""
    bundle = tmp_path / "bundle"
    bad = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"
    good = trustme.CA().cert_pem.bytes().decode()
    bundle.write_text(bad + good)
    interception = open_interception(SEEING, "run")
    assert interception is not None
    trust = find_trust(SEEING, interception, {"SSL_CERT_FILE": str(bundle)})
    assert trust is not None
    assert trust.roots == bad + good
    assert render_java_store(trust.pem + trust.roots)


def test_java_is_shown_the_roots_of_the_machine_and_not_those_of_a_variable(tmp_path: Path) -> None:
    """It has never looked at one; a company's own root in a file alone would leave it with no other."""
    own = tmp_path / "own"
    own.write_bytes(trustme.CA().cert_pem.bytes())
    interception = open_interception(SEEING, "run")
    trusts = [find_trust(SEEING, interception, said) for said in ({"SSL_CERT_FILE": str(own)}, {})]
    with_own, without = (trust for trust in trusts if trust is not None)
    assert with_own.roots != without.roots
    assert with_own.java_stores
    sizes = {len(trust.java.encode("utf-8", "surrogateescape")) for trust in (with_own, without)}
    assert len(sizes) == 1, "the same but for a salt"
