"""Values of secrets and the commitment key: where they come from, and where they never go."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from trio_egress.errors import PolicyError, UsageError
from trio_egress.evidence.redact import Redactor
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.runtime.secrets import (
    LEAST_BYTES,
    LONG_CHARS,
    MOST_BYTES,
    find_password_file,
    keep_commitment_key,
    make_commitment_key,
    open_redactor,
    sign_in,
)

HEAD = 'version = "1.0"\ndefault_deny = true\n'
VALUE = "sk-live-9f3a7c51"


def policy_of(source: str, more: str = "") -> Policy:
    return load_policy(f'{HEAD}{more}[[secret]]\nname = "token"\nfrom = {source}\n', "f.toml")


def open_from(source: str, directory: Path, more: str = "", **environ: str) -> Redactor:
    return open_redactor(policy_of(source, more), environ, directory, b"k" * 32)


def refusal(source: str, directory: Path, more: str = "", **environ: str) -> str:
    with pytest.raises(PolicyError) as caught:
        open_from(source, directory, more, **environ)
    assert VALUE not in str(caught.value)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (5 + more.count("\n"), 8)
    return problem.message.removeprefix("the secret token: ")


def test_a_value_is_a_variable_of_the_caller(tmp_path: Path) -> None:
    redactor = open_from('{ env = "TOKEN" }', tmp_path, TOKEN=VALUE)
    assert redactor.holds(f"a {VALUE} b") == "token"
    assert open_from('{ env = "TOKEN" }', tmp_path, TOKEN="\udcff" * 8).holds("%FF" * 8) == "token"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("written", ["key", "./key", "~/key", "{}/key"])
def test_a_value_is_a_file_without_its_last_line_end(tmp_path: Path, end: str, written: str) -> None:
    (tmp_path / "key").write_bytes(VALUE.encode() + end.encode())
    source = f'{{ file = "{written.format(tmp_path)}" }}'
    assert open_from(source, tmp_path, HOME=str(tmp_path)).redact(VALUE).startswith("[token:")


def test_without_secrets_nothing_is_looked_for(tmp_path: Path) -> None:
    assert repr(open_redactor(load_policy(HEAD, "f"), {}, tmp_path, b"k" * 32)) == "Redactor()"


def test_what_cannot_be_read_is_refused_at_its_line(tmp_path: Path) -> None:
    assert refusal('{ env = "TOKEN" }', tmp_path).startswith("the variable TOKEN is not set")
    assert refusal('{ file = "gone" }', tmp_path) == "can't read the file gone: No such file or directory"
    assert refusal('{ file = "." }', tmp_path) == "can't read the file .: Is a directory"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "x" * (LEAST_BYTES - 1),
            "the file key has fewer than 8 bytes, which stand in other texts by chance",
        ),
        ("", "the file key has fewer than 8 bytes, which stand in other texts by chance"),
        ("x" * (MOST_BYTES + 1), "the file key has more than 65536 bytes"),
        ("x\0" * 8, "the file key has a NUL in it"),
    ],
    ids=["short", "empty", "long", "NUL"],
)
def test_what_cannot_be_looked_for_is_refused(tmp_path: Path, value: str, message: str) -> None:
    (tmp_path / "key").write_text(value)
    assert refusal('{ file = "key" }', tmp_path) == message


def test_the_shortest_and_the_longest_value_are_taken(tmp_path: Path) -> None:
    for value in ("x" * LEAST_BYTES, "x" * MOST_BYTES):
        (tmp_path / "key").write_text(value)
        assert open_from('{ file = "key" }', tmp_path).holds(value) == "token"


@pytest.mark.parametrize("told", [VALUE, VALUE.encode().hex(), f"x{VALUE.upper()}"])
@pytest.mark.parametrize("comments", [0, LONG_CHARS // 10])
def test_a_policy_that_says_the_value_is_refused(tmp_path: Path, told: str, comments: int) -> None:
    more = "# é 12345\n" * comments + f"# {told}\n"
    message = refusal('{ env = "TOKEN" }', tmp_path, more, TOKEN=VALUE)
    assert message == "its value stands in f.toml, and a policy is part of every packet"


def test_every_wrong_secret_is_told(tmp_path: Path) -> None:
    text = "".join(f'[[secret]]\nname = "t{n}"\nfrom = {{ env = "T{n}" }}\n' for n in range(3))
    with pytest.raises(PolicyError) as caught:
        open_redactor(load_policy(HEAD + text, "f"), {"T1": VALUE}, tmp_path, b"k" * 32)
    assert [problem.line for problem in caught.value.problems] == [5, 11]


def test_a_commitment_key_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    key = make_commitment_key()
    keep_commitment_key(key, tmp_path / "key", tmp_path / "evidence")
    assert (tmp_path / "key").read_text() == f"{key.hex()}\n"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert make_commitment_key() != key


def test_a_commitment_key_is_never_written_over_nor_into_the_evidence(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    (tmp_path / "evidence").mkdir()
    os.symlink(tmp_path / "evidence", tmp_path / "link")
    for name, message in (
        ("there", "exists already: every run makes a new one"),
        ("gone/key", "No such file or directory"),
        ("evidence/key", "it is in the evidence directory"),
        ("link/key", "it is in the evidence directory"),
    ):
        with pytest.raises(UsageError, match=message):
            keep_commitment_key(b"k" * 32, tmp_path / name, tmp_path / "evidence")
    assert (tmp_path / "there").read_text() == "x"
    assert os.listdir(tmp_path / "evidence") == []


# the password of [upstream]


def chained(source: str) -> Policy:
    table = f'[upstream]\nproxy = "http://corp:3128"\nusername = "ci"\npassword = {source}\n'
    return load_policy(HEAD + table, "f.toml")


def login_of(policy: Policy, environ: dict[str, str], directory: Path) -> str:
    redactor = open_redactor(policy, environ, directory, b"k" * 32)
    upstream = sign_in(policy, redactor).upstream
    assert upstream is not None
    return upstream.login


@pytest.mark.parametrize("password", [VALUE, "a:b:c:d e", "Größe und é"])
def test_a_proxy_is_told_who_we_are_as_rfc_7617_has_it(tmp_path: Path, password: str) -> None:
    expected = "Basic " + base64.b64encode(f"ci:{password}".encode()).decode()
    assert login_of(chained('{ env = "P" }'), {"P": password}, tmp_path) == expected
    (tmp_path / "password").write_text(f"{password}\n")
    assert login_of(chained('{ file = "~/password" }'), {"HOME": str(tmp_path)}, Path("/")) == expected


def test_a_policy_without_a_password_stays_as_it_is(tmp_path: Path) -> None:
    for policy in (load_policy(HEAD, "f"), load_policy(f'{HEAD}[upstream]\nproxy = "http://c:1"\n', "f")):
        assert sign_in(policy, open_redactor(policy, {}, tmp_path, b"k" * 32)) is policy
        assert find_password_file(policy, {}, tmp_path) is None


def test_the_password_is_redacted_whoever_says_it(tmp_path: Path) -> None:
    policy = chained('{ env = "P" }')
    redactor = open_redactor(policy, {"P": VALUE}, tmp_path, b"k" * 32)
    login = login_of(policy, {"P": VALUE}, tmp_path)
    for said in (VALUE, login):
        assert "[upstream-password:" in redactor.redact(f"Proxy-Authorization: {said}")


@pytest.mark.parametrize(
    ("environ", "message"),
    [({}, "the variable P is not set"), ({"P": "short"}, "the variable P has fewer than 8 bytes")],
)
def test_a_password_that_cannot_be_read_is_told_at_its_line(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        open_redactor(chained('{ env = "P" }'), environ, tmp_path, b"k" * 32)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (6, 12)
    assert problem.message.startswith(f"the secret upstream-password: {message}")


def test_the_file_of_a_password_is_known_by_where_it_really_is(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(VALUE)
    (tmp_path / "link").symlink_to("real")
    assert find_password_file(chained('{ file = "link" }'), {}, tmp_path) == tmp_path / "real"
    assert find_password_file(chained('{ env = "P" }'), {}, tmp_path) is None
