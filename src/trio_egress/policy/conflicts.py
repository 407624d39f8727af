"""What the rules of one policy do to each other: what can never match is an error, what is of no use is a warning.

Knows places in the list of rules, and no lines. What a single rule can't say is `combinations`.

Rule 1: nothing is told that is not so; not everything that is so is found (COMPARED).
Rule 2: time is linear in the number of rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

from trio_egress.model import HOST_INTERNAL
from trio_egress.policy.destination import Below, Exact
from trio_egress.policy.doors import IN_TLS, OWN_PORTS, Ports, Scheme
from trio_egress.policy.index import Index, build_index
from trio_egress.policy.rule import OF_REQUESTS, Terms, Tls
from trio_egress.policy.suffixes import is_public_suffix
from trio_egress.values import frozen

COMPARED = 64
"""Rules that one rule is held against, so that 100,000 rules for one host don't take a day."""

_LOCALHOST = "localhost"
_NARROWING = (*OF_REQUESTS, "host_keys", "tls", "times", "limits", "scan", "ask")
_PLAIN_WEB = frozenset({Scheme.HTTP, Scheme.HTTPS})
_WEB_PORTS = (Ports(80, 80), Ports(443, 443))


@frozen
class Conflict:
    """Something wrong with the rule at `place`, or with a key of it."""

    place: int
    message: str
    key: str | None = None
    warning: bool = False


_Indexed = Index[tuple[int, Terms]]


def find_conflicts(rules: Sequence[Terms], files: Sequence[str] = ()) -> Iterator[Conflict]:
    """In the order of the rules. `files` says for each which file it stands in.

    What is denied or repeated by a rule of another file is no fault: that is what a file is included for.
    """
    numbered = list(enumerate(rules))
    denying = _index((place, terms) for place, terms in numbered if terms.deny)
    broad = _index((place, terms) for place, terms in numbered if not terms.deny and _is_broad(terms))
    names: dict[str, int] = {}
    for place, terms in numbered:
        if terms.name is not None and names.setdefault(terms.name, place) != place:
            first = names[terms.name]
            yield Conflict(place, f'egress[{first}] has the name "{terms.name}" already', "name")
        if not terms.deny:
            yield from _find_denied(place, terms, _find_beside(place, terms, denying, files))
            yield from _find_useless(place, terms, _find_beside(place, terms, broad, files))
            yield from _find_wide(place, terms)
            yield from _find_loopback(place, terms)


def _index(rules: Iterator[tuple[int, Terms]]) -> _Indexed:
    return build_index((terms.destination.pattern, (place, terms)) for place, terms in rules)


def _find_beside(place: int, terms: Terms, index: _Indexed, files: Sequence[str]) -> list[tuple[int, Terms]]:
    """Other rules of the same file whose pattern matches all that this one's does."""
    found = index.find_covering(terms.destination.pattern)[:COMPARED]
    return [entry for entry in found if entry[0] != place and (not files or files[entry[0]] == files[place])]


def _find_denied(place: int, terms: Terms, denying: list[tuple[int, Terms]]) -> Iterator[Conflict]:
    for other, denial in denying:
        if _denies_all(denial, terms):
            yield Conflict(place, f"egress[{other}] denies all that this rule allows, so it can never match")
            return
        if terms.tls is Tls.PASSTHROUGH and _looks_into_tls(denial):
            said = f"egress[{other}] denies some requests to these hosts, which can't be told apart in TLS that is "
            yield Conflict(place, f"{said}passed through: this rule allows no TLS", "tls", warning=True)
            return


def _denies_all(denial: Terms, terms: Terms) -> bool:
    keys = {key for key in OF_REQUESTS if getattr(denial, key) is not None}
    if keys - {"methods"} or denial.times is not None:
        return False
    if denial.methods is not None and not (terms.methods is not None and terms.methods <= denial.methods):
        return False
    protocol = None if denial.protocol is None or Scheme.TCP in denial.protocol else denial.protocol
    if protocol is not None and (terms.protocol is None or not terms.protocol <= protocol):
        return False
    named = denial.ports is not None or denial.destination.port is not None
    return not named or _are_within(find_ports(terms), find_ports(denial))


def _looks_into_tls(denial: Terms) -> bool:
    if denial.protocol is not None and not denial.protocol & IN_TLS:
        return False
    return any(getattr(denial, key) is not None for key in OF_REQUESTS)


def _is_broad(terms: Terms) -> bool:
    """Whether it allows whatever is asked at its ports."""
    return all(getattr(terms, key) is None for key in (*_NARROWING, "websocket"))


def _find_useless(place: int, terms: Terms, broad: list[tuple[int, Terms]]) -> Iterator[Conflict]:
    for other, wide in broad:
        if not _allows_all(wide, terms):
            continue
        if (
            place < other
            and _is_broad(terms)
            and _allows_all(terms, wide)
            and wide.destination == terms.destination
        ):
            continue  # they say the same: it is told of the second
        keys = [key for key in _NARROWING if getattr(terms, key) is not None]
        if keys:
            what = " and ".join(f"`{key}`" for key in keys)
            said = f"egress[{other}] allows all of these hosts without {what}, so here that restricts nothing"
        else:
            said = f"egress[{other}] allows all that this rule allows"
        yield Conflict(place, said, warning=True)
        return


def _allows_all(wide: Terms, terms: Terms) -> bool:
    if terms.allow_private and not wide.allow_private:
        return False
    if terms.websocket is not None and terms.websocket.enabled:
        return False
    named = wide.ports is not None or wide.destination.port is not None
    if named and (wide.protocol is None or Scheme.TCP in wide.protocol):
        return _are_within(find_ports(terms), find_ports(wide))
    usual = terms.ports is None and terms.destination.port is None
    if wide.protocol is None:
        return usual and (terms.protocol is None or terms.protocol <= _PLAIN_WEB)
    if terms.protocol is None or not terms.protocol <= wide.protocol:
        return False
    return usual if not named else _are_within(find_ports(terms), find_ports(wide))


def find_ports(terms: Terms) -> tuple[Ports, ...]:
    """The ports that a rule is for, whatever says it."""
    if terms.ports is not None:
        return terms.ports
    if terms.destination.port is not None:
        return (Ports(terms.destination.port, terms.destination.port),)
    if terms.protocol is not None:
        own = sorted(OWN_PORTS[scheme] for scheme in terms.protocol if scheme in OWN_PORTS)
        return tuple(Ports(port, port) for port in own)
    return _WEB_PORTS


def _are_within(inner: tuple[Ports, ...], outer: tuple[Ports, ...]) -> bool:
    return all(any(wide.first <= part.first and part.last <= wide.last for wide in outer) for part in inner)


def _find_wide(place: int, terms: Terms) -> Iterator[Conflict]:
    pattern = terms.destination.pattern
    if isinstance(pattern, Below) and is_public_suffix(pattern.name):
        said = f"anybody can have a name below {pattern.name}, which is a public suffix; name the hosts that are meant"
        yield Conflict(place, said, "destination", warning=True)


def _find_loopback(place: int, terms: Terms) -> Iterator[Conflict]:
    """It is the sandbox's own to whoever doesn't ask the proxy, and no rule is about that."""
    host = terms.destination.pattern.host if isinstance(terms.destination.pattern, Exact) else None
    if host == _LOCALHOST or (isinstance(host, (IPv4Address, IPv6Address)) and host.is_loopback):
        port = terms.destination.port or "PORT"
        said = f'inside, {host} is the sandbox\'s own; a service of this machine is "{HOST_INTERNAL}:{port}"'
        yield Conflict(place, said, "destination", warning=True)
