"""Every part of the judgement has its words."""

from __future__ import annotations

from trio_egress.model import Layer
from trio_egress.views.layers import MEANINGS, UNKNOWN, explain_layer, name_layer


def test_every_layer_is_explained_in_words_of_its_own() -> None:
    assert set(MEANINGS) == set(Layer)
    assert len({meaning.short for meaning in MEANINGS.values()}) == len(Layer)
    assert all(
        meaning.help.endswith(".") and not meaning.short.endswith(".") for meaning in MEANINGS.values()
    )


def test_a_word_that_is_no_layer_is_unknown() -> None:
    assert name_layer("path") == "path"
    assert explain_layer("path").short != explain_layer("x" * 1000).short
    assert name_layer("x" * 1000) == UNKNOWN
