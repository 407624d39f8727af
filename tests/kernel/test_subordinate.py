"""Subordinate ids: which one it is, and what is said where there is none."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import attrs
import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel import subordinate
from trio_egress.kernel.identity import describe_account, find_identities
from trio_egress.kernel.rights import Unwritable, check_rights
from trio_egress.kernel.trial import try_in_child, use_subordinate

OTHER = "other:1000000:65536\n"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", None),
        (OTHER, None),
        (f"{OTHER}me:100000:65536\n", 165535),
        ("4711:100000:1\nme:200000:65536\n", 100000),
        ("me:200000:10\nme:100000:65536\n", 200009),
        ("me:100000:0\nme:100000\nme:x:65536\nme:0:65536\nme::\n\n#\n", None),
        ("me2:100000:65536\n", None),
    ],
)
def test_it_is_the_last_id_of_the_first_range(tmp_path: Path, text: str, last: int | None) -> None:
    (tmp_path / "subuid").write_text(text)
    assert subordinate._find_last(str(tmp_path / "subuid"), "me", 4711) == last


def test_a_machine_without_the_file_lends_nothing(tmp_path: Path) -> None:
    assert subordinate._find_last(str(tmp_path / "none"), "me", 4711) is None


def test_a_user_without_a_range_is_told_how_to_get_one() -> None:
    with pytest.raises(SandboxError, match="lends no ids to daemon; sudo usermod --add-subuids"):
        subordinate.find_subordinate("daemon", pwd.getpwnam("daemon").pw_uid)


def test_without_the_programs_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"newuidmap is not on this machine; .*apt-get install uidmap"):
        subordinate.find_subordinate("daemon", 1)


@pytest.mark.root
def test_root_has_no_use_for_it() -> None:
    with pytest.raises(SandboxError, match="for ordinary users"):
        find_identities("subordinate", {})


@pytest.mark.ordinary
@pytest.mark.sandbox
def test_the_agent_becomes_that_id_and_the_supervisor_stays_who_it_is() -> None:
    found = find_identities("subordinate", {})
    assert found.apart
    assert not found.root
    assert found.supervisor == find_identities(None, {}).supervisor
    assert found.agent.uid not in (0, os.getuid())
    assert try_in_child(lambda: use_subordinate(found)).failure == ""
    name, _, uid, gid, _, home, _ = describe_account(found, "/home/x").split(":")
    assert (name, int(uid), int(gid), home) == (
        "trio-egress-agent",
        found.agent.uid,
        found.agent.gid,
        "/home/x",
    )


@pytest.mark.ordinary
@pytest.mark.sandbox
def test_an_id_that_is_not_lent_cannot_be_mapped() -> None:
    found = find_identities("subordinate", {})
    foreign = attrs.evolve(found, agent=attrs.evolve(found.agent, uid=pwd.getpwnam("daemon").pw_uid))
    outcome = try_in_child(lambda: use_subordinate(foreign))
    assert "cannot map ids into the sandbox" in outcome.failure


def test_an_account_that_the_host_has_needs_no_line() -> None:
    assert describe_account(find_identities(None, {}), "/home/x") == ""


def test_where_it_can_write_it_is_let_in(tmp_path: Path) -> None:
    check_rights([str(tmp_path), "/"] if os.geteuid() == 0 else [str(tmp_path)], os.getuid())


@pytest.mark.ordinary
def test_where_it_can_not_the_cure_is_named(tmp_path: Path) -> None:
    uid = os.getuid()
    with pytest.raises(Unwritable, match=f"setfacl -R -m u:{uid}:rwX,d:u:{uid}:rwX,d:u:4711:rwX /etc "):
        check_rights(["/etc"], 4711)
    (tmp_path / "inner").mkdir()
    tmp_path.chmod(0o600)
    with pytest.raises(Unwritable, match=f"can't get into {tmp_path}, .*setfacl -m u:{uid}:x {tmp_path} "):
        check_rights([f"{tmp_path}/inner"], 4711)
    tmp_path.chmod(0o700)
