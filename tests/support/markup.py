"""What is in a page: its elements, their attributes, and its text."""

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

#: Elements that have no end.
_VOID = {"meta", "link", "br", "img", "input", "hr"}
#: Elements whose text nobody reads.
_UNREAD = {"style", "script"}


@dataclass
class Page:
    """A parsed page.

    Attributes:
        elements: Each with its attributes, in the order in which they stand.
        text: What is to be read, with single spaces.
        style: What stands in elements of style.
    """

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    style: str = ""

    @property
    def shape(self) -> Counter[tuple[str, tuple[str, ...]]]:
        """How often each element occurs, by its name and those of its attributes."""
        return Counter((tag, tuple(attributes)) for tag, attributes in self.elements)

    @property
    def ids(self) -> list[str]:
        """The ids of its elements."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[str] = []
        self._texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in _UNREAD:
            self.page.style += data
        else:
            self._texts.append(data)

    def close(self) -> None:
        super().close()
        assert not self._open, f"{self._open} are not ended"
        self.page.text = " ".join("".join(self._texts).split())


def parsed(html: str) -> Page:
    """What is in a page, each of whose elements must be ended."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.page
