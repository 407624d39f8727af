"""No text becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from trio_egress.pages.markup import SHOWN_CHARS, code, render, show, tag


class Reader(HTMLParser):
    """What a parser that no one here wrote makes of it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, attributes))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(st.text(), st.text())
def test_a_text_is_read_back_as_it_was_in_content_and_in_attributes(content: str, value: str) -> None:
    one = Reader(render(tag("b", content, title=value)))
    assert [(name, attributes) for name, attributes in one.tags] == [("b", [("title", value)])]
    assert "".join(one.texts) == content


def test_markup_is_markup_and_the_same_text_is_not() -> None:
    inner = tag("i", "x")
    assert render(tag("b", inner, "<i>x</i>", None, [tag("br"), "&"])) == (
        "<b><i>x</i>&lt;i&gt;x&lt;/i&gt;<br>&amp;</b>"
    )


def test_names_of_attributes_are_those_of_html_and_false_leaves_one_out() -> None:
    html = render(
        tag("details", class_="a", aria_label='"', open=True, hidden=False, title=None, viewBox="0 0")
    )
    assert html == '<details class="a" aria-label="&quot;" open viewBox="0 0"></details>\n'


@given(st.one_of(st.text(), st.integers(), st.none(), st.binary()))
def test_what_is_shown_of_a_packet_is_printable_ascii_and_bounded(value: object) -> None:
    shown = show(value)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= SHOWN_CHARS + 33
    assert render(code(shown)).startswith("<code>")
