"""Public suffixes."""

from __future__ import annotations

import pytest

from trio_egress.model import Name
from trio_egress.policy.suffixes import is_public_suffix


@pytest.mark.parametrize("name", ["com", "co.uk", "github.io", "any.ck", "xn--55qx5d.cn"])
def test_names_below_which_anybody_can_have_one(name: str) -> None:
    assert is_public_suffix(Name(name))


@pytest.mark.parametrize(
    "name", ["example.com", "www.ck", "a.any.ck", "internal", "api.github.io", "version"]
)
def test_names_that_are_somebodys(name: str) -> None:
    assert not is_public_suffix(Name(name))
