"""The language of `--where`: columns beside values, joined by and, or and not, as SQL writes them.

    plan = 'pro' and tenure_months > 12 and region in ('eu', 'us') and notes is not null

`==` and `<>` are understood too, words in any case. A text stands in quotes of either kind, doubled where it
holds one; a column whose name is no plain word stands in backquotes. A column alone asks whether it is true.
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, NoReturn

from batch.selection.conditions import (
    Among,
    Comparison,
    Condition,
    Missing,
    Not,
    Operator,
    Several,
    Value,
    kind_of,
)
from shared.errors import ConfigurationError

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<quoted>`[^`]+`)
      | (?P<word>[^\W\d][\w.]*)
      | (?P<sign><=|>=|<>|!=|==|[=<>(),])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)
_OPERATORS: Final[dict[str, Operator]] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
#: The same comparison with its sides exchanged.
_EXCHANGED: Final[dict[Operator, Operator]] = {
    "=": "=",
    "!=": "!=",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}
_WORDS: Final = frozenset({"and", "or", "not", "in", "is", "null", "none", "true", "false"})
_DEEPEST: Final = 50
# No column holds an integer that is as large.
_BEYOND_INTEGERS: Final = 2.0**64
_HINT: Final = "For example: --where \"plan = 'pro' and tenure_months > 12\"."


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of the text.

    Attributes:
        kind: What it is; `keyword` for a word of the language.
        text: As it is written; a keyword in lower case, and what is quoted without its quotes.
        place: Where it begins.
    """

    kind: Literal["number", "text", "column", "keyword", "sign", "end"]
    text: str
    place: int


def parse_where(text: str) -> Condition:
    """The condition that a text stands for.

    Raises:
        ConfigurationError: It is none; the message points at the place.
    """
    return _Parser(text).condition()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def condition(self) -> Condition:
        """All of the text."""
        found = self._either()
        if self._token.kind != "end":
            self._refuse(self._token, "'and', 'or' or the end is expected")
        return found

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        place = 0
        while not tokens or tokens[-1].kind != "end":
            match = _TOKEN.match(self._text, place)
            if match is None:
                start = place + len(self._text[place:]) - len(self._text[place:].lstrip())
                quote = self._text[start] in "'\"`"
                said = "a quote is opened and never closed" if quote else "this is not understood"
                self._refuse(_Token("sign", self._text[start], start), said)
            tokens.append(_token(match))
            place = match.end()
        return tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> bool:
        """Goes on when the next token is one of these words or signs of the language."""
        here = self._token
        taken = here.kind in ("keyword", "sign") and here.text in texts
        self._next += taken
        return taken

    def _either(self) -> Condition:
        found = [self._all()]
        while self._take("or"):
            found.append(self._all())
        return found[0] if len(found) == 1 else Several(tuple(found), every=False)

    def _all(self) -> Condition:
        found = [self._one()]
        while self._take("and"):
            found.append(self._one())
        return found[0] if len(found) == 1 else Several(tuple(found), every=True)

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(self._token, f"more than {_DEEPEST} brackets or nots stand in one another")
        if self._take("not"):
            found: Condition = Not(self._one())
        elif self._take("("):
            found = self._either()
            if not self._take(")"):
                self._refuse(self._token, "')' is expected")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Condition:
        if self._token.kind != "column":
            value = self._value("a column or a value is expected")
            operator = _EXCHANGED[self._operator()]
            return Comparison(self._column(), operator, value)
        return self._about(self._column())

    def _about(self, column: str) -> Condition:
        """What is asked of a column."""
        if self._take("is"):
            is_not = self._take("not")
            if not self._take("null", "none"):
                self._refuse(self._token, "'null' is expected")
            return Not(Missing(column)) if is_not else Missing(column)
        if self._take("not"):
            if not self._take("in"):
                self._refuse(self._token, "'in' is expected")
            return Not(Among(column, self._values()))
        if self._take("in"):
            return Among(column, self._values())
        here = self._token
        if here.kind == "sign" and here.text in _OPERATORS:
            return Comparison(column, self._operator(), self._value("a value is expected"))
        # Whether it is true; where something else was meant, the caller refuses what follows.
        return Comparison(column, "=", True)

    def _operator(self) -> Operator:
        here = self._token
        if here.kind != "sign" or here.text not in _OPERATORS:
            self._refuse(here, "a comparison such as '=' or '<' is expected")
        self._next += 1
        return _OPERATORS[here.text]

    def _column(self) -> str:
        here = self._token
        if here.kind != "column":
            self._refuse(here, "a column is expected")
        self._next += 1
        return here.text

    def _values(self) -> tuple[Value, ...]:
        start = self._token
        if not self._take("("):
            self._refuse(start, "'(' is expected, and after it the values")
        found = [self._value("a value is expected")]
        while self._take(","):
            found.append(self._value("a value is expected"))
        if not self._take(")"):
            self._refuse(self._token, "',' or ')' is expected")
        try:
            kind_of(found)
        except ValueError as error:
            self._refuse(start, str(error))
        return tuple(found)

    def _value(self, expected: str) -> Value:
        here = self._token
        if here.kind == "keyword" and here.text in ("null", "none"):
            self._refuse(here, "nothing compares with null: write 'is null' or 'is not null'")
        if here.kind == "column":
            self._refuse(here, f"{expected}; a text stands in quotes")
        if here.kind not in ("number", "text") and here.text not in ("true", "false"):
            self._refuse(here, expected)
        self._next += 1
        if here.kind == "text":
            return here.text
        if here.kind == "keyword":
            return here.text == "true"
        number = float(here.text)
        if math.isinf(number):
            self._refuse(here, "the number is larger than any that a column holds")
        if abs(number) >= _BEYOND_INTEGERS or not here.text.lstrip("+-").isdecimal():
            return number
        # Python itself reads no integer of thousands of digits, be they zeros.
        return int(Decimal(here.text))

    def _refuse(self, token: _Token, said: str) -> NoReturn:
        line = re.sub(r"\s", " ", self._text)
        raise ConfigurationError(f"--where: {said}\n  {line}\n  {' ' * token.place}^", hint=_HINT)


def _token(match: re.Match[str]) -> _Token:
    kind = match.lastgroup or "end"
    text, place = match[kind], match.start(kind)
    if kind == "text":
        return _Token("text", text[1:-1].replace(text[0] * 2, text[0]), place)
    if kind == "quoted":
        return _Token("column", text[1:-1], place)
    if kind == "word" and text.lower() in _WORDS:
        return _Token("keyword", text.lower(), place)
    if kind == "word":
        return _Token("column", text, place)
    return _Token("number" if kind == "number" else "end" if kind == "end" else "sign", text, place)
