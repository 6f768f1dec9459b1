"""The fenced blocks of a document, and how each is to be run.

A comment right before a block says how, where it is not simply run:
`<!-- test: skip REASON -->`, `<!-- test: background -->` (it runs until the end of the document and logs
`ready`), `<!-- test: retry -->` (it is run until it succeeds) or `<!-- test: env NAME=VALUE ... -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<how>.*?) -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)
RUN = ("python", "bash", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        line: Where it begins in its document.
        language: What stands after the fence.
        text: Its content.
        how: The directive before it, a word and what follows it; empty when there is none.
    """

    line: int
    language: str
    text: str
    how: str

    @property
    def directive(self) -> str:
        """The first word of the directive."""
        return self.how.partition(" ")[0]

    @property
    def script(self) -> str:
        """What a shell is given: of a console block only the lines after a prompt."""
        if self.language != "console":
            return self.text
        return "\n".join(line[2:] for line in self.text.splitlines() if line.startswith("$ "))


def blocks_of(document: Path) -> list[Block]:
    """All blocks that can be run, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, match.start()) + 1, match["language"], match["text"], match["how"] or "")
        for match in _BLOCK.finditer(text)
        if match["language"] in RUN
    ]
