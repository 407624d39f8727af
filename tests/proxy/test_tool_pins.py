"""Tools of an MCP server are held against what was first said of them."""

from __future__ import annotations

from trio_egress.model import Action, Actions, Kind, ScanTerms
from trio_egress.policy.scan import TOOL_CHANGED
from trio_egress.proxy.tool_pins import TOOLS, ToolPins, hash_tool

ADD = {"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}}


def changes(pins: ToolPins, *tools: object, terms: ScanTerms | None = None) -> list[tuple[str, bytes]]:
    return [(each.action, each.value) for each in pins.look_at({"tools": list(tools)}, terms)]


def test_what_is_new_or_the_same_is_no_finding() -> None:
    pins = ToolPins()
    assert changes(pins, ADD) == []
    assert changes(pins, dict(reversed(ADD.items())), {"name": "other"}) == []
    assert changes(pins) == []


def test_any_change_is_one_each_time_and_the_first_stays_what_counts() -> None:
    pins = ToolPins()
    changes(pins, ADD)
    for key, value in (("description", "Adds!"), ("inputSchema", {}), ("title", "Add")):
        changed = {**ADD, key: value}
        assert changes(pins, changed) == changes(pins, changed) == [("warn", hash_tool(changed).encode())]
    assert changes(pins, ADD) == []


def test_one_name_with_two_meanings_in_one_list_is_a_change() -> None:
    assert len(changes(ToolPins(), ADD, {**ADD, "description": "Deletes."})) == 1


def test_the_policy_says_what_becomes_of_it() -> None:
    def under(terms: ScanTerms) -> list[str]:
        pins = ToolPins()
        changes(pins, ADD)
        return [action for action, _ in changes(pins, {"name": "add"}, terms=terms)]

    named = {action: Actions(detectors={TOOL_CHANGED: action}) for action in Action}
    assert under(ScanTerms()) == ["warn"]
    assert under(ScanTerms(actions=(named[Action.BLOCK],))) == ["block"]
    assert under(ScanTerms(actions=(named[Action.STRIP],))) == ["block"]
    assert under(ScanTerms(actions=(named[Action.OFF],))) == []
    assert under(ScanTerms(actions=(Actions(kinds={Kind.INSTRUCTION: Action.BLOCK}),))) == ["block"]
    assert under(ScanTerms(answers=False)) == []


def test_what_is_no_list_of_tools_is_nothing() -> None:
    pins = ToolPins()
    lists: tuple[object, ...] = (1, {"a": 1}, [1, None, {}, {"name": 1}])
    odd: list[object] = [None, 1, [], {}, *({"tools": tools} for tools in lists)]
    for result in odd:
        assert pins.look_at(result, None) == []


def test_of_too_many_each_is_a_change() -> None:
    pins = ToolPins()
    assert changes(pins, *({"name": f"{number}"} for number in range(TOOLS))) == []
    assert len(changes(pins, {"name": "one more"}, {"name": "0"})) == 1
