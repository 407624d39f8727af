"""The compiled form of a policy, and its hash."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.compiled import policy_hash, render_compiled
from trio_egress.policy.files import DEFAULT_PROTECT
from trio_egress.policy.load import load_policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'
POLICY = (
    HEAD
    + """
[[egress]]
destination = "bücher.example"
methods = ["HEAD", "GET"]
[[egress]]
destination = "10.0.0.0/8"
allow_private = true
[resolve]
"z.example" = "127.0.0.1"
"a.example:443" = "[::1]:8443"
"""
)


def hash_of(text: str) -> str:
    return policy_hash(load_policy(text, "f"))


def test_the_compiled_form_is_canonical_json_with_every_default() -> None:
    protect = json.dumps(sorted(DEFAULT_PROTECT), separators=(",", ":")).encode()
    assert render_compiled(load_policy(POLICY, "f")) == (
        b'{"default_deny":true,"dns_resolution":"proxy_only","egress":['
        b'{"allow_private":false,"destination":"xn--bcher-kva.example","methods":["GET","HEAD"]},'
        b'{"allow_private":true,"destination":"10.0.0.0/8","methods":null}],'
        b'"env":{"pass":null,"set":{}},'
        b'"files":{"hide":[],"protect":' + protect + b',"write":[]},'
        b'"limits":{"cpu_seconds":null,"file_size":null,"memory":null,"open_files":null,"processes":4096,'
        b'"wall_seconds":null},'
        b'"resolve":{"a.example:443":"[::1]:8443","z.example":"127.0.0.1"},"version":"1.0"}'
    )


def test_what_is_said_of_files_variables_and_limits_is_in_the_compiled_form() -> None:
    compiled = json.loads(
        render_compiled(
            load_policy(
                f"""{HEAD}
[files]
write = ["~/b", "./a"]
hide = ["secrets"]
protect = ["Makefile", "!.vscode"]
[env]
pass = ["PATH", "LC_*"]
set = {{B = "ü", A = "1"}}
[limits]
memory = "2 GiB"
wall_seconds = 60
""",
                "f",
            )
        )
    )
    assert compiled["files"] == {
        "write": ["a", "~/b"],
        "hide": ["secrets"],
        "protect": sorted({*DEFAULT_PROTECT, "Makefile"} - {".vscode"}),
    }
    assert compiled["env"] == {"pass": ["LC_*", "PATH"], "set": {"A": "1", "B": "ü"}}
    assert compiled["limits"]["memory"] == 2 << 30
    assert compiled["limits"]["wall_seconds"] == 60


def test_the_hash_is_that_of_the_compiled_form() -> None:
    policy = load_policy(POLICY, "f")
    assert policy_hash(policy) == "sha256:" + hashlib.sha256(render_compiled(policy)).hexdigest()


def test_another_spelling_of_the_same_policy_has_the_same_hash() -> None:
    respelt = """
# another file, in another order of keys
default_deny = true
version = '1.0'
dns_resolution = "proxy_only"
resolve = {"A.example.:443" = "[0:0::1]:8443", "z.example" = "127.0.0.1"}
egress = [
    {methods = ["GET", "HEAD", "GET"], destination = "BÜCHER.example", allow_private = false},
    {allow_private = true, destination = "10.0.0.0/8"},
]
"""
    assert hash_of(respelt) == hash_of(POLICY)


def test_every_difference_of_meaning_changes_the_hash() -> None:
    changed = [
        POLICY.replace("bücher", "buecher"),
        POLICY.replace('["HEAD", "GET"]', '["GET"]'),
        POLICY.replace('methods = ["HEAD", "GET"]\n', ""),
        POLICY.replace("allow_private = true", "allow_private = false"),
        POLICY.replace("10.0.0.0/8", "10.0.0.0/9"),
        POLICY.replace("8443", "8444"),
        POLICY.replace("a.example:443", "a.example"),
        POLICY.replace("z.example", "y.example"),
        POLICY + '"b.example" = "127.0.0.1"\n',
        POLICY + '[files]\nwrite = ["build"]\n',
        POLICY + '[files]\nhide = ["build"]\n',
        POLICY + '[files]\nprotect = ["build"]\n',
        POLICY + '[files]\nprotect = ["!.vscode"]\n',
        POLICY + "[env]\npass = []\n",
        POLICY + '[env]\npass = ["A"]\n',
        POLICY + '[env]\nset = {A = ""}\n',
        POLICY + "[limits]\nprocesses = 1\n",
        POLICY + "[limits]\ncpu_seconds = 1\n",
        HEAD,
    ]
    assert len({hash_of(text) for text in [POLICY, *changed]}) == len(changed) + 1


def test_the_order_of_rules_is_in_the_hash_because_receipts_name_them_by_it() -> None:
    rules = ['[[egress]]\ndestination = "a.example"\n', '[[egress]]\ndestination = "b.example"\n']
    assert hash_of(HEAD + "".join(rules)) != hash_of(HEAD + "".join(reversed(rules)))


_DESTINATIONS = st.sampled_from(
    [
        "a.example",
        "*.a.example:22",
        "ü.example:1",
        "192.0.2.1",
        "[2001:db8::1]:80",
        "2001:db8::/32",
        "10.0.0.0/8",
    ]
)
_RULES = st.lists(
    st.fixed_dictionaries(
        {"destination": _DESTINATIONS},
        optional={
            "methods": st.lists(st.sampled_from(["GET", "PUT", "PURGE"]), min_size=1),
            "allow_private": st.booleans(),
        },
    ),
    max_size=5,
)
_PINS = st.dictionaries(
    st.sampled_from(["a.example", "a.example:443", "[2001:db8::1]:80", "192.0.2.1"]),
    st.sampled_from(["127.0.0.1", "127.0.0.1:8443", "::1", "[::1]:8443"]),
)


def render_toml(document: dict[str, object]) -> str:
    """The compiled form written as a policy file: JSON values are TOML values, but for null and tables."""
    match document:
        case {"egress": list(rules), "resolve": dict(pins)}:
            tables = [
                "[[egress]]\n"
                + "".join(
                    f"{key} = {json.dumps(value)}\n" for key, value in rule.items() if value is not None
                )
                for rule in rules
            ]
            resolve = "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in pins.items())
            return HEAD + "".join(tables) + "[resolve]\n" + resolve
        case _:
            raise AssertionError(document)


@given(_RULES, _PINS)
def test_a_compiled_policy_reads_back_as_the_same_policy(
    rules: list[dict[str, object]], pins: dict[str, str]
) -> None:
    policy = load_policy(render_toml({"egress": rules, "resolve": pins}), "f")
    compiled = render_compiled(policy)
    again = load_policy(render_toml(json.loads(compiled)), "f")
    assert render_compiled(again) == compiled
    assert [rule.terms for rule in again.rules] == [rule.terms for rule in policy.rules]
    assert set(again.resolve.pins) == set(policy.resolve.pins)
