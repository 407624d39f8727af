"""The agent's own /etc/hosts."""

from __future__ import annotations

from trio_egress.kernel.hosts import HOSTS_BYTES, render_hosts


def names_of(text: str) -> dict[str, set[str]]:
    """Every name with its addresses."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        address, *names = line.split()
        for name in names:
            found.setdefault(name, set()).add(address)
    return found


BOTH = {"127.0.0.1", "::1"}


def test_localhost_and_the_machine_are_the_agents_own_loopback() -> None:
    for text in ("", "172.17.0.2 box\n", "127.0.1.1 box.example.com box # itself\n"):
        found = names_of(render_hosts(text, "box"))
        assert found["localhost"] == found["box"] == BOTH


def test_the_machine_keeps_all_its_names_in_their_order() -> None:
    text = render_hosts("127.0.1.1\tbox.example.com box\n", "box")
    assert "127.0.0.1 box.example.com box\n" in text


def test_a_name_that_leads_elsewhere_is_left_to_the_policy() -> None:
    text = render_hosts(
        "203.0.113.9 api.example.com\nfd00::1 db\n0.0.0.0 ads.example\n10.0.0.1 box2\n", "box"
    )
    assert set(names_of(text)) == {"localhost", "ip6-localhost", "ip6-loopback", "box"}


def test_a_name_of_the_loopback_stays() -> None:
    found = names_of(render_hosts("127.0.0.1 app.test\n::1 app.test\n127.0.0.1 localhost other\n", "box"))
    assert found["app.test"] == BOTH


def test_what_is_no_line_of_such_a_file_is_left_out() -> None:
    text = "# only a comment\n\n127.0.0.1\nnonsense here\n127.0.0.1 schön.test\n"
    assert render_hosts(text, "box") == render_hosts("", "box")


def test_of_a_huge_file_the_beginning_is_read() -> None:
    text = "127.0.0.1 first.test\n" + "# x\n" * (HOSTS_BYTES // 4) + "127.0.0.1 last.test\n"
    assert "first.test" in render_hosts(text, "box")
    assert "last.test" not in render_hosts(text, "box")
