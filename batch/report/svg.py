"""Elements of HTML and of drawings. Everything that is text is escaped."""

from collections.abc import Callable
from typing import Final

from markupsafe import Markup, escape

#: The widths that a drawing is made in, by the page's class for it: the page shows the one for which the
#: reader has room, so that no label is shrunk with its drawing.
WIDTHS: Final = {"wide": 860.0, "narrow": 340.0}


def element(tag: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        tag: Its name.
        children: Text, which is escaped, and elements.
        attributes: By name, in which `_` stands for `-`; `klass` is `class`, and None leaves one out.
    """
    told = Markup("").join(
        Markup(' {}="{}"').format(_attribute(name), _value(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(tag, told, Markup("").join(map(escape, children)))


def drawing(name: str, size: tuple[float, float], title: str, description: str, *children: Markup) -> Markup:
    """A drawing that says what it shows to those who cannot see it.

    Args:
        name: An id that no other drawing of the page has.
        size: Its width and height.
        title: What it shows.
        description: What is to be seen there.
        children: Its elements.
    """
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *children,
        viewBox=f"0 0 {size[0]:g} {size[1]:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def in_both_widths(name: str, draw: Callable[[str, float], Markup]) -> Markup:
    """A drawing in each of the widths.

    Args:
        name: An id that no other drawing of the page has.
        draw: Draws it, given an id and a width.
    """
    return Markup("").join(
        element("div", draw(f"{name}-{width}", WIDTHS[width]), klass=f"chart {width}") for width in WIDTHS
    )


def line(x1: float, y1: float, x2: float, y2: float, klass: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, klass=klass)


def text(told: str | Markup, x: float, y: float, klass: str) -> Markup:
    """A text; its class says whether it begins, ends or has its middle there."""
    return element("text", told, x=x, y=y, klass=klass)


def _attribute(name: str) -> str:
    return "class" if name == "klass" else name.replace("_", "-")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):g}"
