"""What was judged before is judged the same, and only where it could not be another by now."""

from __future__ import annotations

import random

import attrs
import pytest

from trio_egress.model import Name, Transport
from trio_egress.policy.budget import Usage
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.proxy.judge import Door, judge_request
from trio_egress.proxy.judged_before import JUDGED, KEY_CHARS, JudgedBefore
from trio_egress.proxy.ledger import ABLE
from trio_egress.wire.message import RequestHead

HEAD = 'version = "1.0"\ndefault_deny = true\n'
HOST = "a.example"
PLAIN = f'[[egress]]\ndestination = "{HOST}"\nmethods = ["GET"]\npaths = ["/a/**"]\n'
DOOR = Door(Transport.TRANSPARENT, Name(HOST), 80)
OVERRIDES = [(b"X-HTTP-Method", b"GET"), (b"X-HTTP-Method", b"PUT")]
ASKED = RequestHead("GET", None, None, "/a/b", HOST, (), 0, True)
MOMENT = Moment(now_us=1, able=ABLE)


def load(rules: str) -> Policy:
    return load_policy(HEAD + rules, "agent.toml")


def test_the_same_request_is_judged_once() -> None:
    before = JudgedBefore(load(PLAIN))
    assert before.judge(DOOR, ASKED, MOMENT) is before.judge(DOOR, ASKED, attrs.evolve(MOMENT, now_us=2))


def test_whatever_differs_is_judged_as_it_is() -> None:
    policy = load(
        PLAIN + '[[egress]]\ndestination = "b.example"\nheaders = { forbidden = ["x-y"] }\nquery = ["q"]\n'
    )
    before = JudgedBefore(policy)
    chance = random.Random(7)
    hosts = ("a.example", "b.example", "A.EXAMPLE", "b.example:81", "no one", None)
    doors = [
        Door(transport, Name(host), 80)
        for transport in (Transport.TRANSPARENT, Transport.FORWARD)
        for host in ("a.example", "b.example")
    ]
    for _ in range(3000):
        head = RequestHead(
            chance.choice(("GET", "POST", "CONNECT")),
            chance.choice((None, "http", "https")),
            chance.choice(hosts),
            chance.choice(("/a/b", "/a/b?q=1", "/a/b?q=2", "/c", "/a/b?r=1", "*")),
            chance.choice(hosts),
            tuple(chance.sample([(b"X-Y", b"1"), (b"Accept", b"*/*"), *OVERRIDES], chance.randrange(3))),
            chance.choice((0, 5)),
            persists=True,
            upgrades=chance.choice(((), (), ("h2c",), ("websocket",))),
        )
        moment = attrs.evolve(MOMENT, observing=chance.random() < 0.2, stopped=chance.choice(("", "for now")))
        door = chance.choice(doors)
        told, anew = before.judge(door, head, moment), judge_request(policy, door, head, moment)
        assert (told.attempt, told.decision) == (anew.attempt, anew.decision)
        assert told.facts == anew.facts
        assert told.moment.observing == anew.moment.observing


@pytest.mark.parametrize(
    "rule",
    [
        f'[[egress]]\ndestination = "{HOST}"\nlimits = {{ connections = 1 }}\n',
        f'[[egress]]\ndestination = "{HOST}"\ntimes = ["Mon-Sun 00:00-24:00 UTC"]\n',
        f'[[egress]]\ndestination = "{HOST}"\nask = true\n',
    ],
)
def test_what_may_be_another_by_now_is_judged_each_time(rule: str) -> None:
    before = JudgedBefore(load(rule))
    assert before.judge(DOOR, ASKED, MOMENT) is not before.judge(DOOR, ASKED, MOMENT)


def test_a_budget_that_is_used_up_is_heard_of() -> None:
    before = JudgedBefore(load(f'[[egress]]\ndestination = "{HOST}"\nlimits = {{ connections = 1 }}\n'))
    first = before.judge(DOOR, ASKED, MOMENT)
    assert first.decision.allowed
    assert first.decision.rule is not None
    used = MOMENT.state.replace(first.decision.rule.index, Usage(open=1))
    assert not before.judge(DOOR, ASKED, attrs.evolve(MOMENT, state=used)).decision.allowed
    assert before.judge(DOOR, ASKED, MOMENT).decision.allowed


def test_only_so_much_is_remembered() -> None:
    before = JudgedBefore(load(PLAIN))
    text = "/a/" + "x" * KEY_CHARS
    for long in (
        attrs.evolve(ASKED, path=text),
        attrs.evolve(ASKED, host=text),
        attrs.evolve(ASKED, authority=text),
        attrs.evolve(ASKED, method=text),
    ):
        assert before.judge(DOOR, long, MOMENT) is not before.judge(DOOR, long, MOMENT)
    first = before.judge(DOOR, ASKED, MOMENT)
    for number in range(JUDGED):
        before.judge(DOOR, attrs.evolve(ASKED, path=f"/a/{number}"), MOMENT)
    assert before.judge(DOOR, ASKED, MOMENT) is not first
