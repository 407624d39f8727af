"""Following includes: each file once, within bounds, and every problem where its writer can mend it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy import gather as gather_module
from trio_egress.policy.gather import DEPTH_MAX, gather
from trio_egress.policy.includes import INCLUDES_MAX
from trio_egress.policy.part import POLICY_BYTES
from trio_egress.policy.presets import PRESETS, read_preset
from trio_egress.texts.faults import PROBLEMS_MAX

HEAD = 'version = "1.0"\ndefault_deny = true\n'
YAML_HEAD = 'version: "1.0"\ndefault_deny: true\n'


def including(*targets: str) -> str:
    return f"{HEAD}include = [{', '.join(f'{target!r}' for target in targets)}]\n"


def reading(files: dict[str, str]) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(2, "No such file or directory", name)
        return files[name].encode()

    return read


def names_of(text: str, files: dict[str, str]) -> list[str]:
    return [part.source.name for part in gather(text, "ci/agent.toml", reading(files), read_preset)]


def errors_of(text: str, files: dict[str, str], file: str = "ci/agent.toml") -> list[str]:
    with pytest.raises(PolicyError) as caught:
        gather(text, file, reading(files), read_preset)
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_the_policy_comes_first_and_each_include_where_it_is_first_named() -> None:
    files = {
        "b.toml": including("sub/c.yaml", "d.toml"),
        "sub/c.yaml": YAML_HEAD + "include: [e.toml, 'preset:github']\n",
        "sub/e.toml": HEAD,
        "d.toml": including("b2.toml"),
        "b2.toml": HEAD,
    }
    assert names_of(including("b.toml", "d.toml", "preset:github"), files) == [
        *("agent.toml", "b.toml", "sub/c.yaml", "sub/e.toml", "preset:github", "d.toml", "b2.toml")
    ]


def test_a_file_is_known_by_its_bytes() -> None:
    text = "\ufeff" + including("b.toml")
    policy, included = gather(text, "agent.toml", lambda _name: b"\xef\xbb\xbf" + HEAD.encode(), read_preset)
    assert policy.source.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert included.source.sha256 == hashlib.sha256(b"\xef\xbb\xbf" + HEAD.encode()).hexdigest()
    assert included.source.text == "\ufeff" + HEAD


def test_messages_name_an_included_file_from_where_the_policy_was_named() -> None:
    files = {"sub/b.toml": HEAD + "x = 1\n", "/etc/c.toml": "x"}
    pin = hashlib.sha256(b"x").hexdigest()
    text = f'{HEAD}include = ["sub/b.toml", {{ file = "/etc/c.toml", sha256 = "{pin}" }}]\n'
    assert errors_of(text, files) == [
        (
            'ci/sub/b.toml:3:1: error: unknown key "x" at the top of the file; the keys there are version, '
            "default_deny, dns_resolution, include, egress, resolve, files, env, limits, test, secret, tls, upstream, "
            "scan, mcp, canary"
        ),
        "/etc/c.toml:1:2: error: Expected '=' after a key in a key/value pair",
    ]


@pytest.mark.parametrize(
    ("text", "files", "error"),
    [
        (
            including("b.toml"),
            {},
            'ci/agent.toml:3:12: error: cannot read "b.toml": No such file or directory',
        ),
        (
            including("agent.toml"),
            {},
            'ci/agent.toml:3:12: error: a file can\'t include itself: "agent.toml", which includes "agent.toml"',
        ),
        (
            including("b.toml"),
            {"b.toml": including("c.toml"), "c.toml": including("b.toml")},
            (
                'ci/c.toml:3:12: error: a file can\'t include itself: "b.toml", which includes "c.toml", '
                'which includes "b.toml"'
            ),
        ),
        (
            including("../b.toml"),
            {"../b.toml": HEAD},
            (
                'ci/agent.toml:3:12: error: "../b.toml" is outside of the policy\'s directory, so it must be pinned: '
                '{ file = "../b.toml", sha256 = "…" }, with what `sha256sum` says of it'
            ),
        ),
    ],
)
def test_an_include_that_cannot_be_followed_is_told_where_it_stands(
    text: str, files: dict[str, str], error: str
) -> None:
    assert errors_of(text, files) == [error]


def test_an_include_of_other_bytes_than_were_pinned_is_refused() -> None:
    digest = hashlib.sha256(HEAD.encode()).hexdigest()
    pinned = f'{HEAD}include = [{{ file = "b.toml", sha256 = "{digest}" }}]\n'
    assert names_of(pinned, {"b.toml": HEAD}) == ["agent.toml", "b.toml"]
    other = hashlib.sha256((HEAD + "\n").encode()).hexdigest()
    assert errors_of(pinned, {"b.toml": HEAD + "\n"}) == [
        (
            f'ci/agent.toml:3:12: error: "b.toml" is not what was pinned: it has sha256 {other}; '
            "look at what has changed, then write that"
        )
    ]


def test_a_pin_is_held_against_a_file_that_is_known_already() -> None:
    text = f'{HEAD}include = ["b.toml", {{ file = "b.toml", sha256 = "{"0" * 64}" }}]\n'
    (error,) = errors_of(text, {"b.toml": HEAD})
    assert error.startswith('ci/agent.toml:3:22: error: "b.toml" is not what was pinned')


def test_an_include_that_is_no_utf8_is_told_in_the_included_file() -> None:
    with pytest.raises(PolicyError, match=r"^b.toml:1:1: error: the byte 0xff is not UTF-8"):
        gather(including("b.toml"), "agent.toml", lambda _name: b"\xff", read_preset)


def test_without_a_reader_presets_can_be_included_and_files_not() -> None:
    text = including(*(f"preset:{name}" for name in PRESETS))
    assert len(gather(text, "agent.toml", None, read_preset)) == 1 + len(PRESETS)
    with pytest.raises(PolicyError, match=r'"b.toml" can\'t be read here: only presets can be included'):
        gather(including("b.toml"), "agent.toml", None, read_preset)


def test_a_reader_that_gives_no_reason_is_an_error_all_the_same() -> None:
    def read(_name: str) -> bytes:
        raise OSError("gone")

    with pytest.raises(PolicyError, match=r'cannot read "b.toml": gone'):
        gather(including("b.toml"), "agent.toml", read, read_preset)


def chain_of(depth: int) -> dict[str, str]:
    files = {f"{place}.toml": including(f"{place + 1}.toml") for place in range(1, depth)}
    return {**files, f"{depth}.toml": HEAD}


def test_includes_are_nested_so_deep_and_no_deeper() -> None:
    assert len(names_of(including("1.toml"), chain_of(DEPTH_MAX))) == DEPTH_MAX + 1
    (error,) = errors_of(including("1.toml"), chain_of(DEPTH_MAX + 1))
    assert error == f"ci/{DEPTH_MAX}.toml:3:12: error: includes are nested more than {DEPTH_MAX} deep"


def test_a_policy_includes_so_many_files_and_no_more() -> None:
    files = {f"{place}.toml": HEAD for place in range(INCLUDES_MAX + 1)}
    half = INCLUDES_MAX // 2
    files["0.toml"] = including(*(f"{place}.toml" for place in range(half, INCLUDES_MAX)))
    first = [f"{place}.toml" for place in range(half)]
    assert len(names_of(including(*first), files)) == INCLUDES_MAX + 1
    (error,) = errors_of(including(*first, f"{INCLUDES_MAX}.toml"), files)
    assert error.endswith(f"a policy includes at most {INCLUDES_MAX} files, all in all")


def test_a_policy_with_all_it_includes_has_so_many_bytes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    text = including("b.toml")
    monkeypatch.setattr(gather_module, "POLICY_BYTES", len(text) + len(HEAD))
    assert names_of(text, {"b.toml": HEAD}) == ["agent.toml", "b.toml"]
    (error,) = errors_of(text, {"b.toml": HEAD + "\n"})
    assert error.endswith(f"a policy with all that it includes has at most {len(text) + len(HEAD)} bytes")
    whole = HEAD + "#" * len(text)
    assert names_of(whole, {}) == ["agent.toml"]
    (error,) = errors_of(whole + "#", {})
    assert error == f"ci/agent.toml:1:1: error: a policy has at most {len(text) + len(HEAD)} bytes"


def test_bounds_are_what_the_page_says() -> None:
    assert (INCLUDES_MAX, DEPTH_MAX, POLICY_BYTES) == (64, 8, 16 << 20)


def test_half_a_character_is_a_problem_of_the_text_as_any_other() -> None:
    (error,) = errors_of(HEAD + "x = '\ud800'\n", {})
    assert error.startswith("ci/agent.toml:3:")


def test_the_problems_of_all_files_are_told_at_once() -> None:
    files = {"b.toml": HEAD + "x = 1\n", "c.toml": "?"}
    errors = errors_of(including("b.toml", "c.toml", "d.toml"), files)
    assert [error.split(": ")[0] for error in errors] == [
        "ci/b.toml:3:1",
        "ci/c.toml:1:1",
        "ci/agent.toml:3:32",
    ]


def test_no_further_include_is_followed_when_there_is_more_than_people_read() -> None:
    asked = []

    def read(name: str) -> bytes:
        asked.append(name)
        return (HEAD + "[[egress]]\n" * PROBLEMS_MAX).encode()

    with pytest.raises(PolicyError):
        gather(including("b.toml", "c.toml"), "agent.toml", read, read_preset)
    assert asked == ["b.toml"]
