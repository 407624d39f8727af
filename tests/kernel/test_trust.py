"""What the agent is given to trust: the certificates of a bundle and nothing else, and the variables that name it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from trio_egress.kernel import trust
from trio_egress.kernel.trust import (
    AUTHORITY_FILE,
    BUNDLE_FILE,
    BUNDLES,
    OTHERS,
    VARIABLES,
    Added,
    Named,
    Trust,
    find_named,
    find_variables,
    plan_named,
    plan_trust,
    read_certificates,
)


def test_nothing_but_certificates_of_a_file_is_shown(tmp_path: Path) -> None:
    first, second = (trustme.CA().cert_pem.bytes().decode() for _ in range(2))
    bundle = tmp_path / "bundle"
    key = trustme.CA().issue_cert("a.example").private_key_pem.bytes().decode()
    bundle.write_text(f"a password\n{first}# a comment\n{key}{second}more words\n")
    assert read_certificates(str(bundle)) == first + second


def test_a_file_of_any_bytes_has_none(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_bytes(bytes(range(256)) * 9)
    assert read_certificates(str(bundle)) == ""


def test_the_named_bundle_is_what_was_trusted_and_what_is_added() -> None:
    added = (Added("own\n", "00000000"), Added("more\n", "11111111"))
    files = {step.target: step.source for step in plan_named(Trust(added, "theirs\n"))}
    assert files == {AUTHORITY_FILE: "own\nmore\n", BUNDLE_FILE: "theirs\nown\nmore\n"}


def test_a_root_of_the_same_name_on_the_machine_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSSL looks for it: by the hash of its name and a number that counts on."""
    monkeypatch.setattr(trust, "FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(trust, "BROWSERS", {})
    (tmp_path / "aaaaaaaa.0").write_text("the machine's\n")
    added = tuple(Added(pem, "aaaaaaaa") for pem in ("one\n", "two\n"))
    steps = {step.target: step.source for step in plan_trust(Trust(added), 0, 0)}
    named = {Path(target).name: source for target, source in steps.items() if "/top/" in target}
    assert named == {"aaaaaaaa.1": "one\n", "aaaaaaaa.2": "two\n"}


def test_no_step_without_an_authority() -> None:
    assert [*plan_trust(None, 0, 0), *plan_named(None)] == []


def test_variables_of_the_policy_stay_as_they_are() -> None:
    given = {"PATH": "/bin", "SSL_CERT_DIR": "/etc/certs", "CURL_CA_BUNDLE": "/own"}
    found = find_variables(given, {"CURL_CA_BUNDLE": "/own"}, Trust(()))
    assert (found["CURL_CA_BUNDLE"], found["SSL_CERT_FILE"]) == ("/own", BUNDLE_FILE)
    assert "SSL_CERT_DIR" not in found
    assert find_variables(given, {"SSL_CERT_DIR": "/etc/certs"}, Trust(()))["SSL_CERT_DIR"] == "/etc/certs"


def test_an_unreadable_bundle_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        read_certificates(str(tmp_path / "none"))


def test_files_that_the_caller_names_are_found_once_and_those_of_the_machine_are_not(tmp_path: Path) -> None:
    own, other, link = (tmp_path / name for name in ("own", "other", "link"))
    own.touch()
    other.touch()
    link.symlink_to(own)
    given = {
        "SSL_CERT_FILE": own,
        "NODE_EXTRA_CA_CERTS": own,
        "npm_config_cafile": link,
        "AWS_CA_BUNDLE": other,
        "PIP_CERT": other,
        "REQUESTS_CA_BUNDLE": tmp_path,
        "CURL_CA_BUNDLE": tmp_path / "none",
        "GIT_SSL_CAINFO": BUNDLES[0],
        "HTTPLIB2_CA_CERTS": "",
    }
    found = find_named({name: str(path) for name, path in given.items()}, {"PIP_CERT": str(other)})
    assert found == {str(own): ("NODE_EXTRA_CA_CERTS", "npm_config_cafile"), str(other): ("AWS_CA_BUNDLE",)}


def test_a_variable_is_looked_at_once() -> None:
    assert not {*VARIABLES} & {*OTHERS}


def test_a_program_that_was_told_of_a_file_is_told_of_one_with_that_and_one_more() -> None:
    named = (Named(("NODE_EXTRA_CA_CERTS", "npm_config_cafile"), "theirs\n"), Named(("PIP_CERT",), "other\n"))
    trust = Trust((Added("own\n", "00000000"),), "machine\n", named=named)
    found = find_variables({"npm_config_cafile": "/corp", "CURL_CA_BUNDLE": BUNDLES[0]}, {}, trust)
    assert found["CURL_CA_BUNDLE"] == BUNDLES[0]
    assert set(found) == {*VARIABLES, "npm_config_cafile"}
    files = {step.target: step.source for step in plan_named(trust)}
    assert files[found["NODE_EXTRA_CA_CERTS"]] == files[found["npm_config_cafile"]] == "theirs\nown\n"
    assert files[found["PIP_CERT"]] == "other\nown\n"
    assert files[found["AWS_CA_BUNDLE"]] == "machine\nown\n"
