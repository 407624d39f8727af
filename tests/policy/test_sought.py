"""What a run looks for beside what comes with the package: files of detectors, values, canaries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.load import load_policy
from trio_egress.policy.packaged import load_packaged, render_includes
from trio_egress.policy.rule import Policy
from trio_egress.policy.secret import From
from trio_egress.policy.sought import CANARIES_MAX, DETECTORS_BYTES, USUAL, Canary, DetectorFile

TOP = 'version = "1.0"\ndefault_deny = true\n'
RULE = '[[egress]]\ndestination = "a.example"\nscan = true\n'
RULES = b'[[rules]]\nid = "ours"\nregex = "ours-[0-9]{8}"\n'
FILES = {"ours.toml": RULES, "sub/more.toml": b"# none\n", "latin.toml": b"# \xe9\n"}


def load(text: str, files: Mapping[str, bytes] = FILES) -> Policy:
    return load_policy(TOP + text, "f.toml", lambda name: files[name])


def said_of(text: str, files: Mapping[str, bytes] = FILES) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(text, files)
    return [f"{problem.line}:{problem.column}: {problem.message}" for problem in caught.value.problems]


def sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def test_without_a_word_the_compiled_form_has_none() -> None:
    assert load(RULE).sought == USUAL
    for word in (b'"scan":{', b"canary", b"suppress"):
        assert word not in render_compiled(load(RULE))


def test_files_of_detectors_are_read_pinned_and_packaged() -> None:
    policy = load(RULE + '[scan]\ndetector_files = ["sub/more.toml", "ours.toml"]\n')
    first, second = policy.sought.detector_files
    assert (first, second.name) == (DetectorFile("ours.toml", sha(RULES)), "sub/more.toml")
    assert first.text == RULES.decode()
    assert [source.name for source in policy.sources] == ["f.toml", "sub/more.toml", "ours.toml"]
    assert sha(RULES).encode() in render_compiled(policy)
    again = load_packaged(policy.sources[0].text.encode(), "f.toml", render_includes(policy))
    assert policy_hash(again) == policy_hash(policy)
    assert again.sought.detector_files[0].text == RULES.decode()
    changed = load(RULE + '[scan]\ndetector_files = ["ours.toml"]\n', {"ours.toml": RULES + b"\n"})
    assert policy_hash(changed) != policy_hash(load(RULE + '[scan]\ndetector_files = ["ours.toml"]\n'))
    read_back = parse_compiled(render_compiled(policy))
    assert read_back.sought == policy.sought
    assert read_back.sought.detector_files[0].text == ""


def test_a_file_in_several_files_of_the_policy_is_one() -> None:
    include = 'include = ["sub/b.toml"]\n'
    inner = f'{TOP}[scan]\ndetector_files = ["more.toml", "../ours.toml"]\n'.encode()
    policy = load(include + RULE + '[scan]\ndetector_files = ["ours.toml"]\n', {**FILES, "sub/b.toml": inner})
    assert [file.name for file in policy.sought.detector_files] == ["ours.toml", "sub/more.toml"]
    assert [source.name for source in policy.sources] == [
        "f.toml",
        "sub/b.toml",
        "ours.toml",
        "sub/more.toml",
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('"sub/"', '7:19: "sub/" is a roundabout name; did you mean "sub"?'),
        ('"latin.toml"', '7:19: "latin.toml" is not UTF-8, in which detectors are written'),
        ('"large.toml"', f'7:19: "large.toml" has more than {DETECTORS_BYTES} bytes'),
        (
            f'{{ file = "ours.toml", sha256 = "{"0" * 64}" }}',
            f'7:19: "ours.toml" is not what was pinned: it has sha256 {sha(RULES)}; look at',
        ),
        ("1", '7:19: a file is named by a string such as "our-detectors.toml", not 1'),
    ],
)
def test_a_file_that_cannot_be_taken_is_told_at_its_name(entry: str, said: str) -> None:
    files = {**FILES, "large.toml": b"#" * (DETECTORS_BYTES + 1)}
    (problem,) = said_of(f"{RULE}[scan]\ndetector_files = [{entry}]\n", files)
    assert problem.startswith(said)
    whole = {**FILES, "large.toml": b"#" * DETECTORS_BYTES}
    assert load(RULE + '[scan]\ndetector_files = ["large.toml"]\n', whole).sought.detector_files


def test_values_are_named_by_where_they_are() -> None:
    text = '[scan]\nenv = ["OUR_*", "A"]\nfiles = ["~/b", "a"]\nguess = false\n'
    sought = load(RULE + text).sought
    assert (sought.env, [file.path for file in sought.files], sought.guess) == (
        ("A", "OUR_*"),
        ["a", "~/b"],
        False,
    )
    assert [(file.place.line, file.place.column) for file in sought.files] == [(8, 17), (8, 10)]
    assert parse_compiled(render_compiled(load(RULE + text))).sought == sought
    other = '[scan]\nfiles = ["a", "~/b"]\nguess = false\nenv = ["A", "OUR_*", "A"]\n'
    assert policy_hash(load(RULE + other)) == policy_hash(load(RULE + text))
    assert policy_hash(load(RULE + "[scan]\nguess = true\n")) == policy_hash(load(RULE))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('env = "A"', '7:7: env must be a list such as ["MY_*"], not "A"'),
        ('env = ["A=1"]', '7:8: "A=1" is no variable\'s name'),
        ('files = [""]', "7:10: file must be the path of a file"),
        ('guess = "no"', '7:9: scan.guess must be true or false, not "no"'),
        ("canary = [1]", "7:10: canary must be one of block, strip, warn, off, not a list"),
        ('look = "x"', '7:1: unknown key "look" in the [scan] table'),
    ],
)
def test_what_is_wrong_in_the_table_is_told_at_its_place(line: str, said: str) -> None:
    (problem,) = said_of(f"{RULE}[scan]\n{line}\n")
    assert problem.startswith(said)


CANARY = '[[canary]]\nname = "aws"\nenv = "AWS_KEY"\n'


def test_a_canary_has_a_place_or_a_value_of_its_own() -> None:
    text = CANARY + '[[canary]]\nname = "old"\nfrom = { file = "old.txt" }\n'
    policy = load(RULE + text)
    first, second = (placed.canary for placed in policy.sought.canaries)
    assert first == Canary(name="aws", env="AWS_KEY")
    assert second == Canary(name="old", from_=From(file="old.txt"))
    assert parse_compiled(render_compiled(policy)).sought == policy.sought
    assert (policy.sought.canaries[1].place.line, first.way) == (9, "env AWS_KEY")
    assert second.way == "from the file old.txt"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "7:1: where is it? name the variable (`env`) in which the agent finds it"),
        ('env = "A-B"', "8:7: env must be the name of a variable"),
        ("from = {}", "8:8: from is empty"),
        ('value = "x"', '8:1: unknown key "value" in a [[canary]] table'),
    ],
)
def test_a_canary_that_nobody_finds_is_none(keys: str, said: str) -> None:
    problems = said_of(f'{RULE}[[canary]]\nname = "x"\n{keys}\n')
    assert any(problem.startswith(said) for problem in problems), problems


def test_a_name_and_a_variable_have_one_canary_each() -> None:
    second = '[[canary]]\nname = "{}"\nenv = "{}"\n'
    assert said_of(RULE + CANARY + second.format("aws", "B")) == ['10:8: canary[0] has name "aws" already']
    assert said_of(RULE + CANARY + second.format("b", "AWS_KEY")) == [
        '11:7: canary[0] has env "AWS_KEY" already'
    ]
    assert len(load(RULE + CANARY + second.format("b", "B")).sought.canaries) == 2
    many = "".join(f'[[canary]]\nname = "c{n}"\nenv = "C{n}"\n' for n in range(CANARIES_MAX + 1))
    assert said_of(RULE + many)[0].endswith(
        f"a policy has at most {CANARIES_MAX} canaries, and this has {CANARIES_MAX + 1}"
    )


def test_several_files_agree_on_canaries() -> None:
    include = 'include = ["b.toml"]\n'

    def load_with(inner: str) -> Policy:
        return load(include + RULE + CANARY, {"b.toml": (TOP + inner).encode()})

    assert len(load_with(CANARY).sought.canaries) == 1
    with pytest.raises(PolicyError, match=r"the canary aws is 'env OTHER' here"):
        load_with(CANARY.replace("AWS_KEY", "OTHER"))
    with pytest.raises(PolicyError, match=r"the canary in AWS_KEY is 'b' here and 'aws' at f\.toml"):
        load_with('[[canary]]\nname = "b"\nenv = "AWS_KEY"\n')


def test_a_variable_that_has_something_else_is_no_place_for_a_canary() -> None:
    assert said_of(f'{RULE}{CANARY}[env]\nset = {{ AWS_KEY = "x" }}\n') == [
        "8:7: AWS_KEY is no place for a canary: [env] set gives it another value"
    ]
    secret = '[[secret]]\nname = "s"\nfrom = { env = "AWS_KEY" }\nto = ["a.example"]\n'
    assert said_of(RULE + CANARY + secret) == [
        "8:7: AWS_KEY is no place for a canary: the placeholder of s is in it"
    ]
