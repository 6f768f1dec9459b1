"""Two texts beside each other, with what differs marked."""

from difflib import SequenceMatcher

from markupsafe import Markup, escape

from batch.report.svg import element

# Beyond it, texts are marked from the first character that differs: to match longer ones takes long.
_MATCHED = 400
# Texts with less in common are other texts: that they share a letter says nothing.
_ALIKE = 0.6


def marked(text: str, other: str) -> Markup:
    """A text, in which the characters that the other text does not have there are marked.

    Args:
        text: Any text; it is escaped.
        other: What it is compared with: of the same length, such as hexadecimal digits, place by place;
            else by what both have in common.
    """
    if len(text) == len(other):
        differs = [mine != theirs for mine, theirs in zip(text, other, strict=True)]
    elif max(len(text), len(other)) > _MATCHED:
        common = next((n for n, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), len(other))
        differs = [place >= common for place in range(len(text))]
    else:
        differs = [True] * len(text)
        match = SequenceMatcher(None, text, other, autojunk=False)
        if match.ratio() >= _ALIKE:
            for begin, _, length in match.get_matching_blocks():
                differs[begin : begin + length] = [False] * length
    return _runs(text, differs)


def _runs(text: str, differs: list[bool]) -> Markup:
    """The text with an element around each run of characters that differ."""
    runs, begin = [], 0
    for end in range(1, len(text) + 1):
        if end == len(text) or differs[end] != differs[begin]:
            run = text[begin:end]
            runs.append(element("mark", run) if differs[begin] else escape(run))
            begin = end
    return Markup("").join(runs)
