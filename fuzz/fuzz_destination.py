"""A text is a destination that is read back as itself and finds its hosts, not those beside them; or a ValueError."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.fuzzing.hosts import find_near
    from trio_egress.model import HOST_INTERNAL, Host
    from trio_egress.policy.destination import Below, Exact, Pattern, parse_destination
    from trio_egress.policy.hosts import parse_host
    from trio_egress.policy.index import build_index


def check(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    try:
        destination = parse_destination(text)
    except ValueError:
        return
    assert str(destination).isascii()
    assert parse_destination(str(destination)) == destination
    index = build_index([(destination.pattern, True)])
    for host in hosts_in(destination.pattern):
        assert parse_host(str(host)) == host
        assert index.find(host) == (True,), host
    for host in find_near(destination.pattern):
        below = isinstance(destination.pattern, Below) and str(host).endswith(f".{destination.pattern.name}")
        assert index.find(host) == ((True,) if below and host != HOST_INTERNAL else ()), host


def hosts_in(pattern: Pattern) -> list[Host]:
    """A few of them."""
    match pattern:
        case Exact(host):
            return [host]
        case Below(name):
            return [parse_host(f"{front}.{name}") for front in ("a", "a.b") if len(name) + len(front) < 250]
        case wide:
            return [parse_host(str(wide.network[0])), parse_host(str(wide.network[-1]))]


if __name__ == "__main__":
    fuzz(check, "destination")
