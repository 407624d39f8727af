"""The key `include`: which names are names, and what must be pinned."""

from __future__ import annotations

import pytest

from trio_egress.policy.files import PATH_CHARS
from trio_egress.policy.includes import INCLUDES_MAX, Include, read_include, resolve_name
from trio_egress.texts.faults import Fault, Faults

SHA = "0" * 64


def faults_of(*items: object) -> tuple[Fault, ...]:
    with pytest.raises(Faults) as caught:
        read_include(list(items))
    return caught.value.faults


def test_files_and_presets_are_named_and_may_be_pinned() -> None:
    items = ["base.toml", "sub/x.yaml", "preset:github", {"file": "../y.yml", "sha256": SHA}]
    longest = "a" * (PATH_CHARS - 5) + ".toml"
    assert read_include([longest]) == (Include(longest),)
    assert read_include(items) == (
        Include("base.toml"),
        Include("sub/x.yaml"),
        Include("preset:github"),
        Include("../y.yml", SHA),
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("base.toml", r'^include must be a list such as \["base.toml", "preset:github"\], not "base.toml"$'),
        (["a.toml"] * (INCLUDES_MAX + 1), f"^a policy includes at most {INCLUDES_MAX} files, and this has"),
    ],
)
def test_what_is_no_list_of_bounded_length_is_refused(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_include(value)
    assert len(read_include(["a.toml"] * INCLUDES_MAX)) == INCLUDES_MAX


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (1, 'a file is named by a string such as "base.toml" or "preset:github", not 1'),
        ("preset:githib", 'there is no preset "githib"; did you mean "github"?'),
        ("preset:", 'there is no preset ""; the presets are anthropic, github, huggingface, openai'),
        ("preset:../x", 'there is no preset "../x"; the presets are anthropic, github, huggingface, openai'),
        ("github", 'a preset has "preset:" before its name; did you mean "preset:github"?'),
        ("", "a file's name has 1 to 4096 characters, all of which can be printed"),
        ("a\n.toml", "a file's name has 1 to 4096 characters, all of which can be printed"),
        ("a" * 4092 + ".toml", "a file's name has 1 to 4096 characters, all of which can be printed"),
        ("https://x.example/a.toml", "a policy includes files and presets, and nothing over the network"),
        ("~/a.toml", '"~/a.toml": a file is named from the directory of this one, with "/"'),
        ("a\\b.toml", '"a\\b.toml": a file is named from the directory of this one, with "/"'),
        ("base", '"base": the name of an included file ends in .toml, .yaml, .yml'),
        ("base.json", '"base.json": the name of an included file ends in .toml, .yaml, .yml'),
        ("./a.toml", '"./a.toml" is a roundabout name; did you mean "a.toml"?'),
        ("a//b.toml", '"a//b.toml" is a roundabout name; did you mean "a/b.toml"?'),
        ("x/../a.toml", '"x/../a.toml" is a roundabout name; did you mean "a.toml"?'),
        ("//etc/a.toml", '"//etc/a.toml" is a roundabout name; did you mean "//etc/a.toml"?'),
    ],
)
def test_a_name_that_is_none_is_told(target: object, said: str) -> None:
    assert faults_of("good.toml", target) == (Fault((1,), said),)
    if isinstance(target, str):
        assert faults_of({"file": target, "sha256": SHA}) == (Fault((0, "file"), said),)


def test_everything_wrong_with_a_table_is_told() -> None:
    digits = "sha256 must be 64 lower-case hex digits, as `sha256sum` prints them"
    assert faults_of({"flie": "a.toml", "sha256": "A" * 64}) == (
        Fault((0, "flie"), 'unknown key "flie"; the keys here are file and sha256', on_key=True),
        Fault((0, "file"), 'file must be a string such as "base.toml" or "preset:github"'),
        Fault((0, "sha256"), digits),
    )
    assert faults_of({"file": "a.toml"}) == (Fault((0, "sha256"), digits),)


@pytest.mark.parametrize(
    ("including", "target", "name"),
    [
        ("agent.toml", "base.toml", "base.toml"),
        ("sub/x.toml", "base.toml", "sub/base.toml"),
        ("sub/x.toml", "preset:github", "preset:github"),
        ("../y.toml", "base.toml", None),
        ("/etc/y.toml", "base.toml", None),
        ("agent.toml", "../base.toml", None),
        ("agent.toml", "/etc/base.toml", None),
        ("sub/x.toml", "../base.toml", "base.toml"),
    ],
)
def test_what_is_outside_of_the_policy_s_directory_must_be_pinned(
    including: str, target: str, name: str | None
) -> None:
    pinned = resolve_name(including, Include(target, SHA))
    if name is None:
        assert pinned.startswith(("/", "../"))
        with pytest.raises(
            ValueError, match=r"is outside of the policy's directory, so it must be pinned: \{ file"
        ) as refused:
            resolve_name(including, Include(target))
        assert str(refused.value).endswith('", sha256 = "…" }, with what `sha256sum` says of it')
    else:
        assert pinned == resolve_name(including, Include(target)) == name
