"""The `[limits]` table."""

from __future__ import annotations

import attrs
import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.limits import Limits, read_limit
from trio_egress.policy.load import load_policy
from trio_egress.resource_limits import ResourceLimits

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def load_limits(text: str) -> Limits:
    return load_policy(f"{HEAD}[limits]\n{text}", "f").limits


def test_without_the_table_the_limits_are_those_of_every_run() -> None:
    assert load_policy(HEAD, "f").limits == Limits() == load_limits("")
    assert attrs.astuple(Limits()) == (*attrs.astuple(ResourceLimits()), None)
    assert Limits().wall_seconds is None


def test_every_key_is_read_in_its_unit() -> None:
    limits = load_limits(
        'processes = 100\nopen_files = 256\nmemory = "2 GiB"\nfile_size = 1048576\n'
        "cpu_seconds = 60\nwall_seconds = 90\n"
    )
    assert limits == Limits(
        processes=100,
        open_files=256,
        memory=2 << 30,
        file_size=1 << 20,
        cpu_seconds=60,
        wall_seconds=90,
    )


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Limits)])
def test_every_key_has_a_least_value(field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be at least "):
        read_limit(field)(0)
    assert read_limit(field)(1 << 30) == 1 << 30


def test_a_wrong_limit_is_told_at_its_line() -> None:
    with pytest.raises(PolicyError) as caught:
        load_limits('memory = "2 GB"\nproceses = 3\n')
    assert [(p.line, p.column, p.message) for p in caught.value.problems] == [
        (4, 10, 'memory: "GB" is not one of the units B, KiB, MiB, GiB, TiB; did you mean "2 GiB"?'),
        (5, 1, 'unknown key "proceses" in the [limits] table; did you mean "processes"?'),
    ]


def test_what_is_no_table_is_told() -> None:
    with pytest.raises(PolicyError, match=r'limits must be a table, not 3; did you mean "\[limits\]"\?'):
        load_policy(f"{HEAD}limits = 3\n", "f")


@pytest.mark.parametrize(
    ("field", "least"),
    [
        ("processes", 1),
        ("open_files", 16),
        ("cpu_seconds", 1),
        ("wall_seconds", 1),
        ("memory", 32 << 20),
        ("file_size", 1),
    ],
)
def test_the_least_value_is_accepted_and_no_lower_one(field: str, least: int) -> None:
    assert read_limit(field)(least) == least
    with pytest.raises(ValueError, match=f"^{field} must be at least "):
        read_limit(field)(least - 1)
