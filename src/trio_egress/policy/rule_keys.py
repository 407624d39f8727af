"""How each value of an `[[egress]]` table is read, but for `destination` and the lists that `keys` reads itself.

Each reader takes what tomli gives; it raises ValueError, or Faults where several things can be wrong.

Rule 1: a list that would allow nothing is an error: nobody means it.
Rule 2: words are compared as they are written; header fields have no case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import attrs

from trio_egress.model import Rate
from trio_egress.policy.budget import RATE_EXAMPLE, parse_rate
from trio_egress.policy.doors import Ports, Scheme, merge_ports, parse_ports
from trio_egress.policy.globs import Glob, PathGlob, parse_glob
from trio_egress.policy.rule import Tls
from trio_egress.policy.times import EXAMPLE as TIME_EXAMPLE
from trio_egress.policy.times import Window, parse_window
from trio_egress.policy.values import ITEMS_MAX, read_number, read_size, read_texts
from trio_egress.texts.faults import Fault, Faults, hint_nearest, show

NAME_CHARS = 64
REASON_CHARS = 200
WORD_CHARS = 200

_METHOD = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]+")
_USUAL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_FIELD = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z_-]+", re.ASCII)
"""RFC 9110 5.1, a token."""

_PROXY_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+\?[A-Za-z0-9._~-]+=", re.ASCII)
_SCHEMES = {scheme.value: scheme for scheme in Scheme}
_TLS = {tls.value: tls for tls in Tls}

T = TypeVar("T")


def read_name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or len(value) > NAME_CHARS:
        raise ValueError(
            f'name must be a short word such as "github-read" (a-z, 0-9, "-", "_", "."), not {show(value)}'
        )
    return value


def read_reason(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f'reason must be a text such as "the agent reads issues", not {show(value)}')
    if not value.strip() or not value.isprintable() or len(value) > REASON_CHARS:
        raise ValueError(f"reason must be one line of 1 to {REASON_CHARS} printable characters")
    return value


def read_ports(value: object) -> tuple[Ports, ...]:
    if not isinstance(value, list) or len(value) > ITEMS_MAX:
        raise ValueError(f'ports must be a list such as [443, "8000-8099"], not {show(value)}')
    return merge_ports(_read_each("ports", value, parse_ports))


def read_protocol(value: object) -> frozenset[Scheme]:
    """One word or a list of them."""
    if isinstance(value, str):
        return frozenset({_parse_scheme(value)})
    if not isinstance(value, list):
        raise ValueError(f'protocol must be a word or a list such as ["https", "wss"], not {show(value)}')
    return frozenset(_read_each("protocol", value, _parse_scheme))


def _parse_scheme(value: object) -> Scheme:
    if not isinstance(value, str) or value not in _SCHEMES:
        hint = hint_nearest(value.lower(), _SCHEMES) if isinstance(value, str) else ""
        raise ValueError(f"{show(value)} is not one of the protocols {', '.join(_SCHEMES)}{hint}")
    return _SCHEMES[value]


def _read_each(key: str, value: list[object], read: Callable[[object], T]) -> list[T]:
    _expect_some(key, value)
    found: list[T] = []
    faults: list[Fault] = []
    for place, item in enumerate(value):
        try:
            found.append(read(item))
        except ValueError as error:
            faults.append(Fault((place,), str(error)))
    if faults:
        raise Faults(faults)
    return found


def _expect_some(key: str, value: object) -> None:
    if value == []:
        raise ValueError(f"{key} is empty, which would allow nothing; leave it out where it is no matter")


def read_methods(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise ValueError(f'methods must be a list such as ["GET", "HEAD"], not {show(value)}')
    if not value:
        raise ValueError("methods is empty, which would allow nothing; leave it out to allow every method")
    faults = [
        Fault((place,), fault) for place, method in enumerate(value) if (fault := _find_method_fault(method))
    ]
    if faults:
        raise Faults(faults)
    return frozenset(value)


def _find_method_fault(method: object) -> str | None:
    """What is wrong with one method, if anything. Any token is a method, but nearly a usual one is a slip."""
    if not isinstance(method, str):
        return f'a method must be a string such as "GET", not {show(method)}'
    if method.upper() == "CONNECT":
        return "CONNECT can't be allowed by a rule: a tunnel is judged by what is in it"
    if not _METHOD.fullmatch(method):
        hint = hint_nearest(method.upper(), _USUAL_METHODS)
        return f"{show(method)} is not a method: methods are upper-case words{hint}"
    if method not in _USUAL_METHODS and (hint := hint_nearest(method, _USUAL_METHODS)):
        return f"{show(method)} is not a method{hint}"
    return None


def read_paths(value: object) -> tuple[PathGlob, ...]:
    _expect_some("paths", value)
    texts = read_texts("paths", value, '["/v1/*", "/docs/**"]', _check_path)
    return tuple(parse_glob(text) for text in sorted(texts))


def _check_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f'a path begins with "/"; did you mean {show("/" + text)}?')
    parse_glob(text)
    return text


def read_query(value: object) -> frozenset[str]:
    """The empty list is a query without any parameter, and that is what many a rule means."""
    return frozenset(read_texts("query", value, '["page", "per_page"]', _check_word))


def _check_word(text: str) -> str:
    if not text or not text.isprintable() or len(text) > WORD_CHARS:
        raise ValueError(f"{show(text)} is not a word of 1 to {WORD_CHARS} printable characters")
    return text


def read_fields(key: str) -> Callable[[object], frozenset[str]]:
    """Names of header fields. A forbidden one is forbidden in each of its spellings."""

    def read(value: object) -> frozenset[str]:
        names = read_texts(f"headers.{key}", value, '["x-request-id"]', _check_field)
        return frozenset(name.replace("_", "-") if key == "forbidden" else name for name in names)

    return read


def _check_field(text: str) -> str:
    if not _FIELD.fullmatch(text) or len(text) > WORD_CHARS:
        raise ValueError(f"{show(text)} is not the name of a header field")
    return text.lower()


def read_repositories(key: str) -> Callable[[object], tuple[PathGlob, ...]]:
    def read(value: object) -> tuple[PathGlob, ...]:
        texts = read_texts(f"git.{key}", value, '["org/*"]', _check_repository)
        return tuple(attrs.evolve(parse_glob(f"/{text}"), text=text) for text in sorted(texts))

    return read


def _check_repository(text: str) -> str:
    if text.startswith("/") or text.endswith("/") or not text:
        raise ValueError(
            f'a repository is written without a slash around it, as in "org/repo"; got {show(text)}'
        )
    parse_glob(f"/{text}")
    return text.removesuffix(".git")


def read_globs(key: str) -> Callable[[object], tuple[Glob, ...]]:
    def read(value: object) -> tuple[Glob, ...]:
        texts = read_texts(key, value, '["search_*"]', _check_word)
        return tuple(Glob(text) for text in sorted(texts))

    return read


def read_tls(value: object) -> Tls:
    if not isinstance(value, str) or value not in _TLS:
        raise ValueError(f'tls must be "intercept" or "passthrough", not {show(value)}')
    return _TLS[value]


def read_times(value: object) -> tuple[Window, ...]:
    _expect_some("times", value)
    texts = read_texts("times", value, f"[{TIME_EXAMPLE}]", lambda text: str(parse_window(text)))
    return tuple(parse_window(text) for text in sorted(texts))


def read_proxy_path(value: object) -> str:
    if not isinstance(value, str) or not _PROXY_PATH.fullmatch(value):
        raise ValueError(
            f'websocket.proxy_path must be a path and the parameter that holds the address, as in "/ws?url=", '
            f"not {show(value)}"
        )
    return value


def read_rate(value: object) -> Rate:
    if not isinstance(value, str):
        raise ValueError(f"requests must be a rate such as {RATE_EXAMPLE}, not {show(value)}")
    return parse_rate(value)


def read_rule_limit(key: str) -> Callable[[object], object]:
    """What reads the value of this key of a rule's `limits`."""
    if key == "requests":
        return read_rate
    if key == "connections":
        return lambda value: read_number(key, value, 1)
    return lambda value: read_size(key, value, 0 if key == "body" else 1)
