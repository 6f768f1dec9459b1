"""Reading history once for two models: their sources, and the columns that either of them wants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from batch.inputs import check_places, sources_of
from batch.pipeline import ahead
from batch.replaying.pairs import Pairing, Pairs
from batch.replaying.settings import ReplaySettings
from batch.selection.selection import Selection, Selector
from batch.sources import Reading, Scorable
from batch.topic_rows import sources_of_topic, topics_among
from shared.errors import ConfigurationError, InputError
from shared.files import Chunk
from shared.predict import Predictor
from shared.schema import Input, Schema

#: Rows of files that are scored at once: their columns take a few tens of MB.
_ROWS_AT_ONCE: Final = 65_536


@dataclass(frozen=True, slots=True)
class History:
    """Where the events come from.

    Attributes:
        sources: The files and partitions.
        reader: Names the columns to read; it scores nothing.
        selector: Takes the events that are meant.
    """

    sources: Sequence[Scorable]
    reader: Predictor
    selector: Selector

    @classmethod
    def of(cls, settings: ReplaySettings, before: Predictor | None, after: Predictor) -> "History":
        """Finds and checks the sources; the ends of topics are fixed.

        Args:
            settings: What to read.
            before: The model that decided; None when predictions say what was decided.
            after: The model that is tried.

        Raises:
            TandemError: A source cannot be used.
        """
        reader = after if before is None else _reader(before, after)
        selection = settings.selection(reader.model.schema)
        # A snapshot that was parsed for the model that decided is scored by its columns.
        sources = _sources(settings, before or after, selection)
        for source in sources:
            _check(source, before, after)
        check_places(sources)
        return cls(sources, reader, Selector(selection, reader.model.schema))

    def pairs(self, pairing: Pairing) -> Iterator[tuple[Pairs, str, float]]:
        """Both decisions of all events, with where they are and how much of history lies behind them."""
        for source, chunk, share in ahead(self._chunks()):
            yield pairing.pairs(source, self.selector.pick(chunk, source)), source.name, share

    def _chunks(self) -> Iterator[tuple[Scorable, Chunk, float]]:
        sizes = [max(1, source.state().size) for source in self.sources]
        total, behind = sum(sizes), 0
        for source, size in zip(self.sources, sizes, strict=True):
            for chunk in source.chunks(self.reader):
                yield source, chunk, (behind + chunk.done * size) / total
            behind += size


def _sources(settings: ReplaySettings, predictor: Predictor, selection: Selection) -> list[Scorable]:
    topics, stored = topics_among(settings.history)
    wish = settings.wish(stored)
    found: list[Scorable] = []
    for topic in topics:
        found += sources_of_topic(settings, topic)
    if stored:
        reading = Reading(settings.ignore_case, settings.delimiter, _ROWS_AT_ONCE, selection.read)
        found += sources_of(stored, predictor, reading, wish)
    return found


def _check(source: Scorable, before: Predictor | None, after: Predictor) -> None:
    """Sees that a source can be read by both models."""
    if before is not None:
        source.check(before)
    try:
        source.check(after)
    except InputError as error:
        if before is None:
            raise
        raise InputError(
            f"{error.message}, and {after.model.id} wants it",
            hint='Add to history what that model needs, or declare a default or "missing": "nan" for it in'
            " its model.json.",
        ) from error


def _reader(before: Predictor, after: Predictor) -> Predictor:
    """A predictor that wants the columns of both models."""
    ours, theirs = before.model.schema, after.model.schema
    if ours.as_read() == theirs.as_read():
        return before
    known = {ours.key, *(declared.name for declared in ours.inputs)}
    further = [declared for declared in theirs.inputs if declared.name not in known]
    if theirs.key not in known and theirs.key_type is None:
        further.append(Input(name=theirs.key, type="string"))
    both = Schema(key=ours.key, inputs=(*ours.inputs, *further), strict=ours.strict or theirs.strict)
    return Predictor(replace(before.model, schema=both))


def features_of(names: Sequence[str], before: Predictor | None, after: Predictor) -> list[Input]:
    """The inputs by which to divide events: as the model that decided declares them, then further ones.

    Args:
        names: Which ones; all when there are none.
        before: The model that decided, if it is at hand.
        after: The model that is tried.

    Raises:
        ConfigurationError: A name is that of no input.
    """
    predictors = [after] if before is None else [before, after]
    declared: dict[str, Input] = {}
    for predictor in predictors:
        for feature in predictor.model.schema.features:
            declared.setdefault(feature.name, feature)
    for name in names:
        if name not in declared:
            raise ConfigurationError(
                f"--by {name}: no such input of {' or '.join(one.model.id for one in predictors)}",
                hint=f"They have: {', '.join(declared)}.",
            )
    return [declared[name] for name in dict.fromkeys(names)] if names else list(declared.values())
