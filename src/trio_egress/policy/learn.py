"""The least policy that allows what was seen, with a count for each rule.

Takes attempts as values, from evidence or from a run in observe mode; it reads neither.

Rule 1: nothing is widened: one rule for each host and port, with its methods where every request was seen.
Rule 2: what was denied is written as a comment, for a person to decide; so is what no rule can say.
Rule 3: the same attempts give the same text, in whatever order they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from trio_egress.model import HOST_INTERNAL, Host, Protocol, render_authority
from trio_egress.policy.addresses import is_outside
from trio_egress.policy.writing import RuleText, render_policy, render_rule
from trio_egress.values import define, frozen

_WEB_PORTS = {Protocol.HTTP: (80, 443), Protocol.TLS: (443,)}
"""Where a destination without a port leads."""


_PROTOCOLS = {Protocol.HTTP: "http", Protocol.TLS: "https", Protocol.SSH: "ssh"}
"""The words of `protocol`."""

_STOPPED = (
    "# Stopped for what was found in it. No rule lets it through; what is nothing secret can be\n"
    "# suppressed by its fingerprint, in [[scan.suppress]], with a reason and an end."
)
_LET_THROUGH = "# Found and let through while it was seen: look at each before you trust this policy."

_CARRIED = (
    "# Carried over SSH with a key that the agent never has: the rule needs its [[secret]] beside it,\n"
    '# with as = "ssh".'
)

_SHOWN = "The host keys that were shown: compare them with those that the server's owner publishes."

_Place = tuple[Host, int | None]


@frozen
class Seen:
    """One attempt, or `count` equal ones. `allowed`: it got through when it was seen. `secure`: inside TLS."""

    host: Host
    port: int
    protocol: Protocol
    method: str | None = None
    allowed: bool = True
    count: int = 1
    secure: bool = False
    found: tuple[str, ...] = ()
    """What a scan found in it, in words; it tells of a receipt of findings alone where `count` is 0."""

    stopped: bool = False
    """It was denied for that: its destination is allowed already."""

    host_key: str = ""
    """The fingerprint that an SSH server showed; it tells of that alone where `count` is 0."""

    git: tuple[str, str] | None = None
    """Of git over SSH that is ended at the boundary: `fetch` or `push`, and the repository."""

    @property
    def word(self) -> str:
        """What `protocol` calls it; empty where it has no word for it."""
        return "https" if self.secure else _PROTOCOLS.get(self.protocol, "")


@define
class _Found:
    """All that was seen of one destination."""

    methods: Counter[str] = attrs.field(factory=Counter)
    protocols: Counter[Protocol] = attrs.field(factory=Counter)
    words: set[str] = attrs.field(factory=set)


@frozen
class Learnt:
    """A policy as TOML, and how many rules of it allow something."""

    text: str
    rules: int
    denied: int


def learn(seen: Iterable[Seen], comment: Sequence[str] = ()) -> Learnt:
    """A name that was only resolved opens nothing, and is not written."""
    allowed: dict[_Place, _Found] = {}
    denied: dict[_Place, _Found] = {}
    keys: dict[_Place, Counter[str]] = {}
    carried: dict[_Place, set[tuple[str, str]]] = {}
    finds: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for one in seen:
        if one.host_key and one.allowed:
            keys.setdefault(_place(one), Counter())[one.host_key] += 1
        finds[one.stopped].update(f"{one.host}: {words}" for words in one.found)
        if one.git is not None and one.allowed and one.count:
            carried.setdefault(_place(one), set()).add(one.git)
        if one.protocol is Protocol.DNS or one.stopped or not one.count or one.git is not None:
            continue
        found = (allowed if one.allowed else denied).setdefault(_place(one), _Found())
        found.protocols[one.protocol] += one.count
        found.words.add(one.word)
        if one.method is not None and one.protocol is Protocol.HTTP:
            found.methods[one.method] += one.count
    rules = [_write(place, allowed[place], keys.get(place)) for place in sorted(allowed, key=_order)]
    left = [_write(place, denied[place]) for place in sorted(denied, key=_order)]
    text = render_policy(rules, {}, comment)
    if left:
        text += '\n# Denied while it was seen; remove the "#" to allow it.\n'
        text += "".join(f"#\n{_comment_out(render_rule(rule))}\n" for rule in left)
    text += "".join(
        _comment_git(place, carried[place], keys.get(place)) for place in sorted(carried, key=_order)
    )
    return Learnt(text + "".join(_comment_finds(finds)), len(rules), len(left))


def _comment_git(place: _Place, named: set[tuple[str, str]], shown: Counter[str] | None) -> str:
    """A rule that needs a secret, and where that is found nothing tells."""
    host, port = place
    rule = RuleText(
        destination=str(host) if port in (None, 22) else render_authority(host, port),
        protocol="ssh",
        host_keys=tuple(sorted(shown or ())),
        git=tuple(sorted(named)),
    )
    return f"\n{_CARRIED}\n#\n{_comment_out(render_rule(rule))}\n"


def _comment_finds(finds: Mapping[bool, Counter[str]]) -> Iterator[str]:
    """No rule comes of what a scan found: a person looks at each."""
    for stopped, heading in ((True, _STOPPED), (False, _LET_THROUGH)):
        if finds[stopped]:
            yield f"\n{heading}\n"
            for words, count in sorted(finds[stopped].items()):
                yield f"# - {words} ({'once' if count == 1 else f'{count} times'})\n"


def _place(seen: Seen) -> _Place:
    ports = (443,) if seen.secure else _WEB_PORTS.get(seen.protocol, ())
    web = seen.port in ports and seen.host != HOST_INTERNAL
    return seen.host, None if web else seen.port


def _order(place: _Place) -> tuple[list[str], int]:
    """By domain, the names of one beside each other."""
    host, port = place
    return str(host).split(".")[::-1], port or 0


def _write(place: _Place, found: _Found, shown: Counter[str] | None = None) -> RuleText:
    """`shown`: the host keys of SSH servers; they are pinned where each of the connections showed one."""
    host, port = place
    total = sum(found.protocols.values())
    counts: Counter[str] = Counter({p.value: count for p, count in found.protocols.items()})
    if set(found.protocols) == {Protocol.HTTP}:
        counts = found.methods
    keys = shown if shown and found.words == {"ssh"} and sum(shown.values()) == total else {}
    each = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return RuleText(
        destination=str(host) if port is None else render_authority(host, port),
        protocol=next(iter(found.words)) if len(found.words) == 1 else "",
        host_keys=tuple(sorted(keys)),
        comment=(_SHOWN,) if keys else (),
        methods=tuple(sorted(found.methods)) if set(found.protocols) == {Protocol.HTTP} else (),
        allow_private=not isinstance(host, str) and not is_outside(host),
        reason=f"seen {'once' if total == 1 else f'{total} times'} ({each})",
    )


def _comment_out(text: str) -> str:
    return "\n".join(f"# {line}" for line in text.splitlines())
