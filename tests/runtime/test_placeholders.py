"""What the agent gets of secrets that are sent: placeholders, and no file, variable or argument with a value in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.errors import PolicyError, UsageError
from trio_egress.evidence.redact import Redactor
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.proxy.vault import Vault
from trio_egress.runtime.placeholders import (
    SENT_BYTES,
    check_command,
    find_secret_files,
    open_vault,
    put_placeholders,
)
from trio_egress.runtime.secrets import open_redactor

HEAD = 'version = "1.0"\ndefault_deny = true\n'
VALUE = "sk-live-9f3a7c51"
SENT = 'to = ["a.example"]\nenv = "GIVEN"\n'
RULE = '[[egress]]\ndestination = "a.example"\n'


def sent_policy(source: str, more: str = SENT) -> Policy:
    return load_policy(f'{HEAD}{RULE}[[secret]]\nname = "token"\nfrom = {source}\n{more}', "f.toml")


def open_sent(
    source: str, directory: Path, more: str = SENT, **environ: str
) -> tuple[Policy, Redactor, Vault]:
    policy = sent_policy(source, more)
    redactor = open_redactor(policy, environ, directory, b"k" * 32)
    return policy, redactor, open_vault(policy, redactor)


def test_a_secret_that_is_sent_has_a_new_placeholder_in_each_run_or_the_one_of_the_policy(
    tmp_path: Path,
) -> None:
    vaults = [open_sent('{ env = "TOKEN" }', tmp_path, TOKEN=VALUE)[2] for _ in range(2)]
    (one,), (other,) = (vault.held for vault in vaults)
    assert one.placeholder.startswith("trio-egress-placeholder-token-")
    assert one.placeholder != other.placeholder
    assert (one.value, one.commitment) == (VALUE.encode(), other.commitment)
    written = SENT + 'placeholder = "ghp_0000placeholder0000"\n'
    (given,) = open_sent('{ env = "TOKEN" }', tmp_path, written, TOKEN=VALUE)[2].held
    assert given.placeholder == "ghp_0000placeholder0000"
    assert open_sent('{ env = "TOKEN" }', tmp_path, "", TOKEN=VALUE)[2].held == ()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("two\nlines", "has a character that no header may carry"),
        (" begins with a space", "has a character that no header may carry"),
        ("not-ascii-é", "has a character that no header may carry"),
        ("x" * (SENT_BYTES + 1), f"has more than {SENT_BYTES} bytes"),
        ("aa-X-placeholder-0000-x-aa", "have each other in them"),
    ],
)
def test_a_value_that_no_header_could_carry_is_refused(tmp_path: Path, value: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said) as caught:
        open_sent('{ env = "TOKEN" }', tmp_path, SENT + 'placeholder = "x-placeholder-0000-x"\n', TOKEN=value)
    assert value not in str(caught.value)
    assert caught.value.problems[0].line == 7


def test_the_agent_finds_the_placeholder_in_whatever_variable_the_value_was(tmp_path: Path) -> None:
    environ = {
        "TOKEN": VALUE,
        "SAME": VALUE,
        "URL": f"https://u:{VALUE}@a.example/",
        "HEX": VALUE.encode().hex(),
        "OTHER": "x",
    }
    policy, redactor, vault = open_sent('{ env = "TOKEN" }', tmp_path, **environ)
    placeholder = vault.held[0].placeholder
    assert put_placeholders(environ, policy, vault, redactor) == {
        "SAME": placeholder,
        "URL": f"https://u:{placeholder}@a.example/",
        "OTHER": "x",
        "GIVEN": placeholder,
    }


def test_without_a_secret_that_is_sent_variables_are_what_they_were(tmp_path: Path) -> None:
    environ = {"TOKEN": VALUE, "HEX": VALUE.encode().hex()}
    policy, redactor, vault = open_sent('{ env = "TOKEN" }', tmp_path, "", **environ)
    assert put_placeholders(environ, policy, vault, redactor) == environ
    check_command(["echo", VALUE], vault, redactor)


def test_a_command_with_the_value_in_it_is_refused(tmp_path: Path) -> None:
    _, redactor, vault = open_sent('{ env = "TOKEN" }', tmp_path, TOKEN=VALUE)
    check_command(["echo", vault.held[0].placeholder], vault, redactor)
    for argument in (f"--token={VALUE}", VALUE.encode().hex()):
        with pytest.raises(UsageError, match="has the value of the secret token in it") as caught:
            check_command(["echo", argument], vault, redactor)
        assert VALUE not in str(caught.value)


def test_the_file_of_a_secret_that_is_sent_is_to_be_hidden(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(VALUE)
    (tmp_path / "link").symlink_to("key")
    for name in ("key", "link"):
        policy = sent_policy(f'{{ file = "{name}" }}')
        assert find_secret_files(policy, {}, tmp_path) == (tmp_path / "key",)
    assert find_secret_files(sent_policy('{ file = "key" }', ""), {}, tmp_path) == ()


def test_a_file_that_could_not_be_hidden_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(VALUE)
    (tmp_path / "second").hardlink_to(tmp_path / "key")
    for written, said in (
        ("key", "has another name"),
        ("/proc/self/environ", "is no plain file"),
        (".", "plain"),
    ):
        with pytest.raises(PolicyError, match=said):
            find_secret_files(sent_policy(f'{{ file = "{written}" }}'), {}, tmp_path)
