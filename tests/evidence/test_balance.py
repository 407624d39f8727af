"""Books that balance, and every way in which they do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.evidence.specimens import (
    KEY,
    Receipt,
    Scribe,
    codes,
    record_of,
    render_counters,
    replay,
    rewrite,
    setting,
    setting_fact,
    write_evidence,
)

from trio_egress.evidence import balance as balance_module
from trio_egress.evidence.balance import COUNTERS, DROPPED, LOST, Balance, Books, Row
from trio_egress.evidence.findings import CODES
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import Verdict, conclude, render_balance, render_json, render_text
from trio_egress.evidence.verify import verify


def feed(*receipts: tuple[str, Mapping[str, object]]) -> Books:
    books = Books()
    for transport, facts in receipts:
        books.feed({"transport": transport}, facts)
    return books


def differences(balance: Balance) -> dict[str, int]:
    return {row.counter: row.unexplained for row in balance.rows if row.unexplained}


def settle(books: Books, **counts: int) -> dict[str, int]:
    """What is unexplained, by counter."""
    balance = books.balance(render_counters(**counts)["counters"])
    assert balance.missing == ()
    assert balance.is_even == (not differences(balance))
    assert balance.unexplained == sum(abs(count) for count in differences(balance).values())
    return differences(balance)


# what adds up to what


def test_nothing_counted_and_nothing_recorded_balances() -> None:
    assert settle(Books()) == {}


def test_receipts_of_one_connection_are_one_connection() -> None:
    books = feed(*[("transparent", {"connection": 7})] * 5, ("transparent", {"connection": 9}))
    assert settle(books, redirected=2) == {}
    assert settle(books, redirected=3) == {"redirected": 1}
    assert settle(books, redirected=1) == {"redirected": -1}


def test_a_connection_to_the_proxy_may_end_in_a_tunnel() -> None:
    books = feed(
        ("forward", {"connection": 1}), ("connect", {"connection": 1}), ("connect", {"connection": 2})
    )
    assert settle(books, proxy=2) == {}


def test_connections_of_different_doors_do_not_make_up_for_each_other() -> None:
    books = feed(("transparent", {"connection": 1}), ("forward", {"connection": 2}))
    assert settle(books, redirected=2) == {"redirected": 1, "proxy": -1}


def test_connections_that_were_never_accepted_are_told_by_number() -> None:
    books = feed(("transparent", {"connection": 1}), ("transparent", {"count": 40, "connections": 40}))
    assert settle(books, redirected=41) == {}


def test_queries_over_tcp_are_not_connections() -> None:
    books = feed(
        ("dns", {"over": "tcp", "count": 3, "connections": 3}),
        ("dns", {"over": "tcp", "count": 500}),
    )
    assert settle(books, dns_tcp=3) == {}


def test_every_datagram_to_the_dns_stub_is_in_a_count() -> None:
    books = feed(("dns", {"over": "udp", "count": 1}), ("dns", {"over": "udp", "count": 99}))
    assert settle(books, dns_udp=100) == {}
    assert settle(books, dns_udp=101) == {"dns_udp": 1}


@pytest.mark.parametrize("counter", DROPPED)
def test_refused_packets_are_counted_by_the_kernels_own_word(counter: str) -> None:
    books = feed(("packet", {"counter": counter, "proto": "proto-99", "count": 2}))
    assert settle(books, **{counter: 2}) == {}
    assert settle(books) == {counter: -2}


def test_refused_calls_are_counted_by_their_receipts_alone() -> None:
    books = feed(
        ("syscall", {"call": "unshare", "count": 3}),
        ("syscall", {"call": "socket", "count": 2}),
        ("packet", {"counter": "syscall", "count": 100}),
    )
    assert settle(books, syscall=5) == {}
    assert settle(books, syscall=6) == {"syscall": 1}
    assert settle(books, syscall=4) == {"syscall": -1}


def test_what_a_queue_lost_must_be_what_it_counted_as_lost() -> None:
    books = feed(
        ("packet", {"counter": "udp", "count": 5, "lost": "log"}),
        ("dns", {"over": "udp", "count": 4, "lost": "queue"}),
    )
    assert settle(books, udp=5, dns_udp=4, log_lost=5, dns_lost=4) == {}
    assert settle(books, udp=5, dns_udp=4) == {"log_lost": -5, "dns_lost": -4}
    assert settle(books, udp=5, dns_udp=4, log_lost=6, dns_lost=9) == {"log_lost": 1, "dns_lost": 5}


def test_more_may_be_lost_on_the_way_than_anybody_missed_but_not_less() -> None:
    books = feed(("dns", {"over": "udp", "count": 2, "lost": "way"}))
    assert settle(books, dns_udp=2, way_lost=2) == settle(books, dns_udp=2, way_lost=9) == {}
    assert settle(books, dns_udp=2, way_lost=1) == {"way_lost": -1}


@pytest.mark.parametrize(
    ("transport", "facts"),
    [
        ("transparent", {}),
        ("transparent", {"connection": 0}),
        ("transparent", {"connection": -1}),
        ("transparent", {"connection": "1"}),
        ("transparent", {"connection": True}),
        ("packet", {"counter": "banana", "count": 1}),
        ("packet", {"count": 1}),
        ("packet", {"counter": "udp"}),
        ("syscall", {"connection": 1, "counter": "udp"}),
        ("syscall", {"count": "1"}),
        ("dns", {"count": 1}),
        ("dns", {"over": "udp", "lost": "elsewhere"}),
    ],
)
def test_what_says_nothing_of_the_kernels_events_counts_for_none(
    transport: str, facts: Mapping[str, object]
) -> None:
    assert settle(feed((transport, facts))) == {}


def test_a_number_beyond_the_bound_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance_module, "CONNECTIONS", 1000)
    books = feed(("transparent", {"connection": 1000}), ("transparent", {"connection": 1001}))
    assert settle(books, redirected=1) == {}
    assert len(books._seen["redirected"]) == 126


# counters that cannot be held against anything


@pytest.mark.parametrize("counters", [None, {}, [], "udp", 3, True])
def test_without_counters_there_is_no_balance(counters: object) -> None:
    balance = Books().balance(counters)
    assert (balance.rows, balance.missing, balance.is_even) == ((), tuple(COUNTERS), False)


@pytest.mark.parametrize("value", [None, 1, [1], [1, 2, 3], ["1", 2], [True, 1], [-1, 0], [1.0, 0], {"0": 1}])
def test_a_counter_that_is_no_pair_of_counts_is_missing(value: object) -> None:
    counters = dict(render_counters()["counters"], udp=value)  # type: ignore[call-overload]
    balance = Books().balance(counters)
    assert (balance.missing, balance.is_even, len(balance.rows)) == (("udp",), False, len(COUNTERS) - 1)


def test_counters_that_nobody_balances_may_be_told() -> None:
    counters = dict(render_counters()["counters"], interface=[5, 500])  # type: ignore[call-overload]
    assert Books().balance(counters).is_even


def test_every_counter_has_a_finding_of_its_own() -> None:
    assert {code for code in CODES if code.startswith("balance.")} == {
        "balance.missing",
        *(f"balance.{name}" for name in COUNTERS),
    }
    assert set(LOST.values()) < set(COUNTERS)


# in a chain


def busy_chain() -> list[bytes]:
    """open, two receipts of one connection, a proxy connection, DNS, refused packets, sums; close at the end."""
    scribe = Scribe().open().allow()
    scribe.block(facts={"connection": 1}).block(facts={"connection": 2})
    scribe.block(transport="forward", facts={"connection": 3})
    scribe.block(transport="dns", facts={"over": "tcp", "count": 4, "connections": 4})
    scribe.block(transport="dns", facts={"over": "udp", "count": 5})
    scribe.block(transport="dns", facts={"over": "udp", "count": 6, "lost": "queue"})
    scribe.block(transport="packet", facts={"counter": "udp", "count": 70})
    scribe.block(transport="packet", facts={"counter": "udp", "count": 30, "lost": "log"})
    scribe.block(
        transport="syscall", target="syscall:mount", facts={"call": "mount", "errno": "EPERM", "count": 8}
    )
    counts = {
        "redirected": 2,
        "proxy": 1,
        "dns_tcp": 4,
        "dns_udp": 11,
        "udp": 100,
        "dns_lost": 6,
        "log_lost": 30,
        "syscall": 8,
    }
    return scribe.close(facts=render_counters(**counts)).lines


LAST = len(busy_chain()) - 1


def changing_counter(name: str, by: int) -> Callable[[Receipt], None]:
    def change(receipt: Receipt) -> None:
        ext = receipt["ext"]
        assert isinstance(ext, dict)
        ext["trio_egress"]["counters"][name][0] += by

    return change


def drop_line(lines: list[bytes], index: int) -> list[bytes]:
    """Without one receipt, all others numbered, linked and signed anew: what only the holder of the key can do."""
    kept = lines[:index] + lines[index + 1 :]

    def renumber(at: int) -> Callable[[Receipt], None]:
        def change(receipt: Receipt) -> None:
            record = record_of(receipt)
            record["chain_seq"] = at
            control = record.get("session_control")
            if isinstance(control, dict) and "close" in control:
                control["close"].update(final_seq=at, receipt_count=at + 1)

        return change

    return rewrite(kept, {at: renumber(at) for at in range(len(kept))})


def test_a_chain_with_some_of_everything_balances() -> None:
    played = replay(busy_chain())
    assert played.findings.kept == []
    assert played.balance is not None
    assert played.balance.is_even
    assert played.balance.events == 2 + 1 + 4 + 11 + 100 + 8


@pytest.mark.parametrize("name", [name for name in COUNTERS if name != "way_lost"])
@pytest.mark.parametrize("by", [1, 1000])
def test_a_counter_that_says_more_than_the_receipts_is_found(name: str, by: int) -> None:
    assert codes(replay(rewrite(busy_chain(), {LAST: changing_counter(name, by)}))) == [f"balance.{name}"]


@pytest.mark.parametrize(
    "name", ["redirected", "proxy", "dns_tcp", "dns_udp", "udp", "dns_lost", "log_lost", "syscall"]
)
def test_a_counter_that_says_less_than_the_receipts_is_found(name: str) -> None:
    assert codes(replay(rewrite(busy_chain(), {LAST: changing_counter(name, -1)}))) == [f"balance.{name}"]


@pytest.mark.parametrize(
    ("index", "found"),
    [
        (4, ["balance.redirected"]),
        (5, ["balance.proxy"]),
        (6, ["balance.dns_tcp"]),
        (7, ["balance.dns_udp"]),
        (8, ["balance.dns_lost", "balance.dns_udp"]),
        (9, ["balance.udp"]),
        (10, ["balance.log_lost", "balance.udp"]),
        (11, ["balance.syscall"]),
    ],
)
def test_a_receipt_that_its_signer_left_out_is_found(index: int, found: list[str]) -> None:
    assert codes(replay(drop_line(busy_chain(), index))) == found


def test_a_receipt_of_a_connection_that_has_others_may_be_missing() -> None:
    """The kernel counts connections: which requests came by one is not its to know."""
    assert codes(replay(drop_line(busy_chain(), 3))) == []


@pytest.mark.parametrize(
    ("index", "name", "value", "found"),
    [
        (9, "count", 69, "balance.udp"),
        (9, "counter", "icmp", "balance.icmp"),
        (7, "count", 6, "balance.dns_udp"),
        (4, "connection", 1, "balance.redirected"),
        (3, "connection", 99, "balance.redirected"),
        (6, "connections", 5, "balance.dns_tcp"),
        (10, "lost", "queue", "balance.dns_lost"),
        (11, "count", 7, "balance.syscall"),
    ],
)
def test_a_count_that_its_signer_changed_is_found(index: int, name: str, value: object, found: str) -> None:
    assert found in codes(replay(rewrite(busy_chain(), {index: setting_fact(name, value)})))


@pytest.mark.parametrize(
    ("name", "value"),
    [("connection", -1), ("connections", "2"), ("counter", 5), ("lost", True), ("count", -7), ("errno", 1)],
)
def test_facts_of_the_books_have_their_types(name: str, value: object) -> None:
    assert codes(replay(rewrite(busy_chain(), {9: setting_fact(name, value)}))) == ["ext.fact"]


def test_a_close_without_counters_is_found() -> None:
    played = replay(Scribe().open().block().close(books=False).lines)
    assert codes(played) == ["balance.missing"]
    assert "found a close receipt without it; expected any counter" in played.findings.kept[0].message
    played = replay(Scribe().open().close(books=False).lines)
    assert codes(played) == ["balance.missing"]


def test_a_close_that_lacks_one_counter_is_found() -> None:
    def drop(receipt: Receipt) -> None:
        ext = receipt["ext"]
        assert isinstance(ext, dict)
        del ext["trio_egress"]["counters"]["icmp"]

    played = replay(rewrite(busy_chain(), {LAST: drop}))
    assert codes(played) == ["balance.missing"]
    assert "expected icmp" in played.findings.kept[0].message


def test_a_run_whose_sandbox_never_stood_has_no_books() -> None:
    played = replay(Scribe().open().close("refused", books=False).lines)
    assert (codes(played), played.balance) == ([], None)


def test_a_run_that_had_something_to_record_had_a_sandbox() -> None:
    assert codes(replay(Scribe().open().block().close("refused", books=False).lines)) == ["balance.missing"]


def test_a_chain_that_is_not_closed_has_no_books_yet() -> None:
    played = replay(busy_chain()[:-1])
    assert (codes(played), played.balance) == ([], None)


def test_where_a_line_could_not_be_counted_that_line_is_the_finding() -> None:
    changed = rewrite(busy_chain(), {9: setting("transport", "pigeon")})
    assert codes(replay(changed)) == ["member.type"]


# told to people


def report_of(played: Replay) -> str:
    return render_text(conclude("e", played, played.findings, pinned=True))


def test_the_report_says_in_one_line_whether_the_books_balance() -> None:
    even = "balanced: the kernel counted 126, the receipts tell of each; unexplained 0"
    assert f"  books       {even}\n" in report_of(replay(busy_chain()))
    odd = replay(rewrite(busy_chain(), {LAST: changing_counter("udp", 3)}))
    assert "  books       NOT BALANCED: unexplained 3 (udp +3)\n" in report_of(odd)
    odd = replay(rewrite(busy_chain(), {LAST: changing_counter("redirected", -1)}))
    assert "unexplained 1 (redirected -1)\n" in report_of(odd)
    assert "NOT BALANCED: no counters\n" in report_of(replay(Scribe().open().close(books=False).lines))
    never = replay(Scribe().open().close("refused", books=False).lines)
    assert "nothing was counted: the sandbox never stood\n" in report_of(never)
    assert "books" not in report_of(replay(busy_chain()[:-1]))


def test_a_counter_that_is_missing_is_named() -> None:
    balance = Balance((Row("udp", 1, 1),), ("icmp",))
    assert render_balance(balance) == "NOT BALANCED: unexplained 0 (no counter icmp)"


def test_the_report_for_programs_has_every_row() -> None:
    played = replay(busy_chain())
    told = render_json(conclude("e", played, played.findings, pinned=True))["balance"]
    assert told == json.loads(json.dumps(told))
    assert isinstance(told, dict)
    assert (told["even"], told["unexplained"], told["missing"]) == (True, 0, [])
    assert told["rows"][0] == {"counter": "redirected", "counted": 2, "recorded": 2, "unexplained": 0}
    never = replay(Scribe().open().close("refused", books=False).lines)
    assert render_json(conclude("e", never, never.findings, pinned=True))["balance"] is None


def test_a_packet_with_something_unexplained_is_not_valid(tmp_path: Path) -> None:
    even = verify(write_evidence(tmp_path, busy_chain()), [KEY.public_hex])
    assert even.verdict is Verdict.VALID
    odd = rewrite(busy_chain(), {LAST: changing_counter("redirected", 1)})
    report = verify(write_evidence(tmp_path, odd), [KEY.public_hex])
    assert (report.verdict, report.exit_code) == (Verdict.INVALID, 1)
