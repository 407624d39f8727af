"""The `[tls]` table: which files of roots are taken, and that what was trusted can be told from the policy."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PolicyError
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.diff import compare
from trio_egress.policy.load import load_policy
from trio_egress.policy.packaged import load_packaged, render_includes
from trio_egress.policy.roots import ROOTS_BYTES, read_roots
from trio_egress.policy.rule import Policy
from trio_egress.runtime.policy_file import read_policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'
TLS = '[tls]\nextra_ca = ["a.pem"]\n'
A, B = (trustme.CA().cert_pem.bytes() for _ in range(2))
KEY = trustme.CA().issue_cert("a.example").private_key_pem.bytes()
BODY = A.split(b"-----")[2]
DER = base64.b64decode(BODY)


def load(text: str, files: Mapping[str, bytes]) -> Policy:
    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[name]

    return load_policy(HEAD + text, "f.toml", read)


def problem(text: str, files: Mapping[str, bytes]) -> tuple[int, int, str]:
    with pytest.raises(PolicyError) as caught:
        load(text, files)
    (found,) = caught.value.problems
    return found.line, found.column, found.message


def sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def render(body: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"\n-----END CERTIFICATE-----\n"


def test_without_the_table_the_compiled_form_has_no_word_of_it() -> None:
    assert load("", {}).roots == ()
    assert b"tls" not in render_compiled(load("[tls]\n", {}))


def test_certificates_are_read_and_nothing_else_of_the_file() -> None:
    raw = b"# Company root, \xc3\xa9\r\n" + A.replace(b"\n", b"\r\n") + b"more words\n" + B
    (root,) = load(TLS, {"a.pem": raw}).roots
    assert (root.name, root.sha256) == ("a.pem", sha(raw))
    assert root.pem.encode() == A + B


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", '"a.pem" has no certificate; expected -----BEGIN CERTIFICATE----- and its end'),
        (A[:-30], '"a.pem" has a certificate that has no end'),
        (A + A[:-30], '"a.pem" has a certificate that has no end'),
        (DER, '"a.pem" is not text with certificates in PEM; `openssl x509 -inform der -in a.pem` prints'),
        (b"\xff" + A, '"a.pem" is not text with certificates in PEM'),
        (A + KEY, '"a.pem" has a private key in it, and would be part of every packet'),
        (A + KEY[:60], '"a.pem" has a private key in it'),
        (A.replace(b"CERT", b"TRUSTED CERT"), '"a.pem" has something else in it ("TRUSTED CERTIFICATE")'),
        (A + render(b"a+b"), 'certificate 2 of "a.pem" is damaged: it is not base64'),
        (render(b"M*" + BODY), 'certificate 1 of "a.pem" is damaged: it is not base64'),
        (render(base64.b64encode(DER[:-1])), 'certificate 1 of "a.pem" is damaged: it is not one whole DER'),
        (render(base64.b64encode(DER + b"\0")), 'certificate 1 of "a.pem" is damaged: it is not one whole'),
        (render(b""), 'certificate 1 of "a.pem" is damaged: it is not one whole DER sequence'),
        (b"#" * ROOTS_BYTES + A, f'"a.pem" has more than {ROOTS_BYTES} bytes'),
    ],
)
def test_a_file_that_is_none_of_roots_is_refused_at_its_place(raw: bytes, said: str) -> None:
    line, column, message = problem(TLS, {"a.pem": raw})
    assert (line, column) == (4, 13)
    assert message.startswith(said)


def test_what_cannot_be_read_or_named_is_refused_at_its_place() -> None:
    assert problem(TLS, {}) == (4, 13, 'cannot read "a.pem": No such file or directory')
    for named, said in (
        ('"x/../a.pem"', '"x/../a.pem" is a roundabout name; did you mean "a.pem"?'),
        ('"~/a.pem"', '"~/a.pem": a file is named from the directory of this one, with "/"'),
        ('"https://x.example/a.pem"', "a policy includes files and presets, and nothing over the network"),
        ('"a/"', '"a/" is a roundabout name; did you mean "a"?'),
        ("1", 'a file is named by a string such as "company-root.pem", not 1'),
    ):
        assert problem(TLS.replace('"a.pem"', named), {"a.pem": A})[2] == said
    assert problem('[tls]\nextra_ca = "a.pem"\n', {})[2] == (
        'extra_ca must be a list such as ["company-root.pem"], not "a.pem"'
    )
    assert problem("[tls]\nextra_cas = []\n", {})[2] == (
        'unknown key "extra_cas" in the [tls] table; did you mean "extra_ca"?'
    )
    assert problem('tls = "a.pem"\n', {})[2] == 'tls must be a table, not "a.pem"; did you mean "[tls]"?'


def test_a_pin_that_does_not_hold_is_refused() -> None:
    pinned = TLS.replace('"a.pem"', f'{{ file = "a.pem", sha256 = "{sha(A)}" }}')
    assert load(pinned, {"a.pem": A}).roots == load(TLS, {"a.pem": A}).roots
    assert problem(pinned, {"a.pem": B})[2].startswith('"a.pem" is not what was pinned: it has sha256')


def test_files_of_all_includes_add_up_each_by_its_own_directory() -> None:
    include = HEAD + '[tls]\nextra_ca = ["b.pem", "../a.pem"]\n'
    files = {"sub/x.toml": include.encode(), "sub/b.pem": B, "a.pem": A}
    policy = load('include = ["sub/x.toml"]\n' + TLS, files)
    assert [(root.name, root.sha256) for root in policy.roots] == [("a.pem", sha(A)), ("sub/b.pem", sha(B))]
    assert [source.name for source in policy.sources] == ["f.toml", "sub/x.toml", "a.pem", "sub/b.pem"]


def test_the_compiled_form_and_its_hash_have_what_was_trusted() -> None:
    policy = load(TLS, {"a.pem": A})
    assert json.loads(render_compiled(policy))["tls"] == {"extra_ca": [{"file": "a.pem", "sha256": sha(A)}]}
    assert parse_compiled(render_compiled(policy)).roots == policy.roots
    assert policy_hash(policy) != policy_hash(load(TLS, {"a.pem": B}))


def test_a_packet_has_the_files_and_is_read_again_from_them() -> None:
    text = HEAD + TLS
    policy = load(TLS, {"a.pem": A})
    includes = render_includes(policy)
    assert json.loads(includes)["includes"] == [{"name": "a.pem", "sha256": sha(A), "text": A.decode()}]
    again = load_packaged(text.encode(), "policy.toml", includes)
    assert render_compiled(again) == render_compiled(policy)
    assert again.roots[0].pem == policy.roots[0].pem
    with pytest.raises(PolicyError, match=r'cannot read "a.pem"|only presets'):
        load_packaged(text.encode(), "policy.toml")


def test_a_difference_is_told_in_words() -> None:
    def told(old: Policy, new: Policy) -> list[str]:
        return [change.text for change in compare(old, new)]

    none, first, second = load("", {}), load(TLS, {"a.pem": A}), load(TLS, {"a.pem": B})
    assert told(none, first) == [f"the roots in a.pem are trusted: sha256 {sha(A)}"]
    assert told(first, none) == ["the roots in a.pem are not trusted any more"]
    assert told(first, second) == [f"the roots in a.pem are others: sha256 {sha(A)} → {sha(B)}"]


def test_files_are_read_where_they_are_but_through_no_link_below_the_policy(tmp_path: Path) -> None:
    inside, outside = tmp_path / "policy", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    (inside / "a.pem").write_bytes(A)
    (outside / "b.pem").write_bytes(B)
    (outside / "link.pem").symlink_to("b.pem")
    (inside / "f.toml").write_text(f'{HEAD}[tls]\nextra_ca = ["a.pem", "{outside}/link.pem"]\n')
    assert [root.sha256 for root in read_policy(inside / "f.toml")[1].roots] == [sha(B), sha(A)]
    (inside / "a.pem").unlink()
    (inside / "a.pem").symlink_to(outside / "b.pem")
    with pytest.raises(PolicyError, match=r"a\.pem is a link: name the file where it is"):
        read_policy(inside / "f.toml")


def test_in_yaml_too() -> None:
    text = 'version: "1.0"\ndefault_deny: true\ntls:\n  extra_ca:\n    - a.pem\n'
    assert load_policy(text, "f.yaml", lambda _: A).roots == load(TLS, {"a.pem": A}).roots


@given(st.binary(max_size=200), st.integers(0, len(A)), st.integers(0, len(A)))
def test_whatever_a_file_is_it_is_refused_in_words_or_has_whole_certificates(
    raw: bytes, first: int, last: int
) -> None:
    with contextlib.suppress(ValueError):
        pem = read_roots(A[:first] + raw + A[last:], "a.pem")
        for body in re.findall("-----BEGIN CERTIFICATE-----(.*?)-----END", pem, re.DOTALL):
            assert base64.b64decode("".join(body.split()), validate=True)[0] == 0x30
