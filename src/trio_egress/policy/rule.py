"""A policy as a value: rules, their terms, and pins.

Reads no file (`load`) and judges nothing (`engine`).

A new key of an `[[egress]]` table is a field of Terms here, a line in `keys` that reads it, a line in `_WRITERS` of
`compiled` that writes it, and an Obstacle, which is judged in `obstacle` and put into words in `reasons`.
"""

from __future__ import annotations

import attrs

from trio_egress.model import Address, Endpoint, Host, RuleRef, render_authority
from trio_egress.policy.destination import Destination
from trio_egress.policy.environment import Env
from trio_egress.policy.files import Files
from trio_egress.policy.index import Index, build_index
from trio_egress.policy.limits import Limits


@attrs.frozen(kw_only=True)
class Terms:
    """What one `[[egress]]` table says, a field for each key. `methods` is None where any method will do."""

    destination: Destination
    methods: frozenset[str] | None = None
    allow_private: bool = False


@attrs.frozen
class Rule:
    """Terms, and the place in the file that they come from.

    `rank` is the place in the compiled form. It decides between rules, so that the order in a file means nothing.
    """

    ref: RuleRef
    terms: Terms
    rank: int = attrs.field(default=attrs.Factory(lambda rule: rule.ref.index, takes_self=True), eq=False)


@attrs.frozen
class Pin:
    """This host is at this address. `port` None: on any port. `address_port` None: on the port asked for."""

    host: Host
    port: int | None
    address: Address
    address_port: int | None

    @property
    def target(self) -> str:
        return _render(self.host, self.port)

    @property
    def answer(self) -> str:
        return _render(self.address, self.address_port)


@attrs.frozen
class Resolve:
    """The pins of a policy. A pin with a port is nearer than one without."""

    pins: tuple[Pin, ...] = ()
    _by_target: dict[tuple[Host, int | None], Pin] = attrs.field(init=False, eq=False, repr=False)

    @_by_target.default
    def _map_targets(self) -> dict[tuple[Host, int | None], Pin]:
        return {(pin.host, pin.port): pin for pin in self.pins}

    def find(self, host: Host, port: int) -> Endpoint | None:
        if not self._by_target:
            return None
        pin = self._by_target.get((host, port)) or self._by_target.get((host, None))
        return None if pin is None else Endpoint(pin.address, pin.address_port or port)


@attrs.frozen
class Policy:
    """Everything that is allowed; what no rule allows is denied. And the agent's files, variables and limits."""

    rules: tuple[Rule, ...] = ()
    resolve: Resolve = attrs.field(factory=Resolve)
    source_file: str = attrs.field(default="", eq=False)
    files: Files = attrs.field(factory=Files, kw_only=True)
    env: Env = attrs.field(factory=Env, kw_only=True)
    limits: Limits = attrs.field(factory=Limits, kw_only=True)
    index: Index[Rule] = attrs.field(init=False, eq=False, repr=False)

    @index.default
    def _index_rules(self) -> Index[Rule]:
        return build_index((rule.terms.destination.pattern, rule) for rule in self.rules)


def _render(host: Host, port: int | None) -> str:
    return str(host) if port is None else render_authority(host, port)
