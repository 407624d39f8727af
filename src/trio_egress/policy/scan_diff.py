"""What a change of `[scan]` and of canaries does, in words (`diff`).

Rule: what is looked for less, or let by, opens; what no rule looks through changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trio_egress.policy.change import CHANGES, CLOSES, OPENS, Change, Document, show_value
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import NO_SCAN, is_looser, merge_scan
from trio_egress.policy.scan_keys import SCAN_READERS

_SOUGHT = {
    "env": "the values of {} are looked for{}",
    "files": "the contents of {} are looked for{}",
}


def compare_scans(before: Document, after: Document, old: Policy, new: Policy) -> Iterator[Change]:
    was, now = before.get("scan", {}), after.get("scan", {})
    yield from _compare_words(was, now, old, new)
    if was.get("guess") != now.get("guess"):
        looked = now.get("guess") is not False
        words = "are looked for" if looked else "are not looked for any more"
        yield Change(CLOSES if looked else OPENS, f"values of variables that look secret {words}")
    for key, text in _SOUGHT.items():
        yield from _compare_lists(was.get(key, []), now.get(key, []), text)
    yield from _compare_files(
        *({file["file"]: file["sha256"] for file in said.get("detector_files", [])} for said in (was, now))
    )
    yield from _compare_suppressions(was.get("suppress", []), now.get("suppress", []))
    yield from _compare_canaries(before.get("canary", []), after.get("canary", []))


def _compare_words(was: Document, now: Document, old: Policy, new: Policy) -> Iterator[Change]:
    """What holds for all rules. All of it is told in one effect, because only all of it decides."""
    one, other = (merge_scan(NO_SCAN, policy.scan) for policy in (old, new))
    effect = OPENS if is_looser(one, other) else CLOSES if is_looser(other, one) else CHANGES
    for key in SCAN_READERS:
        if was.get(key) != now.get(key):
            yield Change(effect, f"[scan] {key}: {show_value(was.get(key))} → {show_value(now.get(key))}")


def _compare_lists(was: Sequence[str], now: Sequence[str], text: str) -> Iterator[Change]:
    for name in sorted({*was, *now}):
        if name not in was:
            yield Change(CLOSES, text.format(name, ""))
        elif name not in now:
            yield Change(OPENS, text.format(name, " no more"))


def _compare_files(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*was, *now}):
        if name not in was:
            yield Change(CLOSES, f"the detectors in {name} look, too: sha256 {now[name]}")
        elif name not in now:
            yield Change(OPENS, f"the detectors in {name} look no more")
        elif was[name] != now[name]:
            yield Change(CHANGES, f"the detectors in {name} are others: sha256 {was[name]} → {now[name]}")


def _compare_suppressions(was: Sequence[Document], now: Sequence[Document]) -> Iterator[Change]:
    for one in now:
        if one not in was:
            text = f"a finding of {one['detector']} is none until {one['expires']}: {one['reason']}"
            yield Change(OPENS, f"{text} ({one['finding'][:17]}…)")
    for one in was:
        if one not in now:
            text = f"no suppression of a finding of {one['detector']} any more, until {one['expires']}"
            yield Change(CLOSES, f"{text} ({one['finding'][:17]}…)")


def _compare_canaries(was: Sequence[Document], now: Sequence[Document]) -> Iterator[Change]:
    before, after = ({canary["name"]: canary for canary in canaries} for canaries in (was, now))
    for name in sorted({*before, *after}):
        if name not in before:
            yield Change(CLOSES, f"{name} is a canary")
        elif name not in after:
            yield Change(OPENS, f"{name} is no canary any more")
        elif before[name] != after[name]:
            yield Change(
                CHANGES, f"the canary {name}: {show_value(before[name])} → {show_value(after[name])}"
            )
