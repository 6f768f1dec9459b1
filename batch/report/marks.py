"""Two texts beside each other, with what differs marked."""

from itertools import takewhile

from markupsafe import Markup, escape

from batch.report.svg import element


def marked(text: str, other: str) -> Markup:
    """A text, in which the characters that the other text does not have there are marked.

    Args:
        text: Any text; it is escaped.
        other: What it is compared with: of the same length, such as hexadecimal digits, place by place; else
            but for what both begin and end with.
    """
    if len(text) == len(other):
        return _runs(text, [mine != theirs for mine, theirs in zip(text, other, strict=True)])
    begin = _common(text, other)
    end = _common(text[begin:][::-1], other[begin:][::-1])
    if 2 * (begin + end) < min(len(text), len(other)):
        # Words that happen to end with the same letter are other words.
        begin = end = 0
    return _runs(text, [begin <= place < len(text) - end for place in range(len(text))])


def _common(text: str, other: str) -> int:
    """With how many of the same characters both begin."""
    pairs = zip(text, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _runs(text: str, differs: list[bool]) -> Markup:
    """The text with an element around each run of characters that differ."""
    runs, begin = [], 0
    for end in range(1, len(text) + 1):
        if end == len(text) or differs[end] != differs[begin]:
            run = text[begin:end]
            runs.append(element("mark", run) if differs[begin] else escape(run))
            begin = end
    return Markup("").join(runs)
