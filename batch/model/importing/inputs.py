"""Which inputs a trained model takes, put together from what is known: its file, a signature, a sample."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from batch.model.importing.described import Described
from batch.model.importing.facts import Facts, Table, look_at, looks_like_key
from shared.errors import ConfigurationError, ModelError
from shared.models.directory import first_problem
from shared.schema import Input, InputType, Schema

DEFAULT_KEY: Final = "customer_id"
#: How customers' ids are called, in lower case and without marks between the words.
_KEY_NAMES: Final = ("customerid", "clientid", "userid", "accountid", "memberid", "subscriberid", "id")
#: A text column with more different values is no category, unless it is declared as one.
_MOST_CATEGORIES: Final = 256


@dataclass(frozen=True, slots=True)
class Field:
    """A column as a signature declares it.

    Attributes:
        name: Its name.
        type: `string` where the values are texts, None where the signature leaves it open.
        required: Whether a value must be there.
    """

    name: str
    type: InputType | None
    required: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The inputs, and how each of them was found.

    Attributes:
        schema: The declaration.
        notes: By input, a few words for the person who checks it.
        unused: Columns of the sample that are neither the key nor an input.
    """

    schema: Schema
    notes: Mapping[str, str]
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known about a model's columns.

    Attributes:
        described: What the model's file says.
        fields: What a signature says, in its order; None without one.
        table: The sample; None without one.
    """

    described: Described
    fields: tuple[Field, ...] | None
    table: Table | None


def find_inputs(known: Known, key: str | None) -> Found:
    """Infers the inputs, for a person to check.

    Args:
        known: What is known about the columns.
        key: The field that holds the customer's id; None to look for it.

    Raises:
        ModelError: The sources contradict each other, or leave open what must be known.
        ConfigurationError: The key is not a field that can be one.
    """
    columns = known.table.columns if known.table else ()
    names = _names(known, columns, key)
    if key in names:
        raise ConfigurationError(
            f"--key: {key!r} is an input of the model", hint="Name the field that holds the customer's id."
        )
    one_hot = _one_hot(names, columns)
    taken = set(names) | set(one_hot)
    rest = [name for name in columns if name not in taken]
    found_key = key or _guess_key(known.table, rest)
    inputs, notes = [], {}
    key_input = _key_input(known.table, found_key)
    if key_input:
        inputs.append(key_input)
        notes[found_key] = "the customer's id" if key else "the customer's id, by its name"
    for name, values in _grouped(names, one_hot):
        declared, note = _one_hot_input(known, name, values) if values else _plain_input(known, name)
        inputs.append(declared)
        notes[name] = note
    unused = tuple(name for name in rest if name != found_key)
    return Found(make_schema(found_key, inputs), notes, unused)


def make_schema(key: str, inputs: Iterable[Input | Mapping[str, Any]]) -> Schema:
    """The schema of a key and inputs.

    Raises:
        ModelError: They do not go together.
    """
    try:
        return Schema.model_validate({"key": key, "inputs": tuple(inputs)})
    except ValidationError as error:
        raise ModelError(f"inputs: {first_problem(error)}", hint="Correct the inputs.") from error


def _names(known: Known, columns: Sequence[str], key: str | None) -> tuple[str, ...]:
    """The model's columns in its order, under the names that events have."""
    described = known.described
    said = [field.name for field in known.fields] if known.fields else None
    if described.names is not None:
        # LightGBM keeps no spaces in names.
        spelled = {name.replace(" ", "_"): name for name in (*columns, *(said or ()))}
        names = tuple(
            name if name in spelled.values() else spelled.get(name, name) for name in described.names
        )
        if said is not None and set(said) != set(names):
            raise _mismatch("signature", said, names)
        _check_sample(names, columns, known.table)
        return names
    if said is not None:
        if described.width not in (None, len(said)):
            raise _wrong_count(described.width, f"the signature has {len(said)}", said)
        return tuple(said)
    if known.table is None:
        raise ModelError(
            "the model's file does not say what its columns are called",
            hint="Give --sample FILE with some rows, or --schema FILE with the inputs.",
        )
    found_key = key or _guess_key(known.table, columns)
    names = tuple(name for name in columns if name != found_key)
    if described.width not in (None, len(names)):
        raise _wrong_count(described.width, f"the sample has {len(names)} besides the key", names)
    return names


def _check_sample(names: Sequence[str], columns: Sequence[str], table: Table | None) -> None:
    if table is None:
        return
    covered = _one_hot(names, columns)
    made = {f"{name}{mark}{value}" for name, values in covered.items() for value, mark in values}
    if any(name not in columns and name not in made for name in names):
        raise _mismatch(f"sample {table.name}", columns, names)


def _mismatch(other: str, theirs: Sequence[str], ours: Sequence[str]) -> ModelError:
    lacking = [name for name in ours if name not in theirs]
    odd = [name for name in theirs if name not in ours]
    parts = [f"the model takes {_listed(lacking)}, which the {other} lacks"] if lacking else []
    if odd:
        parts.append(f"the {other} has {_listed(odd)}, which the model does not take")
    return ModelError(
        "; ".join(parts),
        hint=f"The model takes, in this order: {', '.join(ours)}. Rename the columns, or give --schema FILE.",
    )


def _wrong_count(width: int | None, said: str, names: Sequence[str]) -> ModelError:
    return ModelError(
        f"the model takes {width} columns, which it does not name, but {said}: {', '.join(names)}",
        hint="Leave out what it does not take (a label, an id: --key names it), or give --schema FILE.",
    )


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _guess_key(table: Table | None, columns: Iterable[str]) -> str:
    """The column that holds customers' ids, by its name; `customer_id` when there is none."""
    columns = list(columns)
    plain = {name: "".join(filter(str.isalnum, name.casefold())) for name in columns}
    for wanted in _KEY_NAMES:
        for name in columns:
            if plain[name] == wanted and table and looks_like_key(look_at(table, name)):
                return name
    return DEFAULT_KEY


def _key_input(table: Table | None, key: str) -> Input | None:
    """The key as an input, with the type that it has in the sample; None when the sample has it not."""
    if table is None or key not in table.columns:
        return None
    facts = look_at(table, key)
    if not looks_like_key(facts):
        what = f"has {facts.missing} blanks" if facts.missing else f"is no integer or text: {facts.example!r}"
        raise ConfigurationError(f"--key: {key!r} {what}", hint="Name the field with the customer's id.")
    return Input(name=key, type="integer" if facts.type == "integer" else "string")


def _one_hot(names: Sequence[str], columns: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Columns of the sample that the model takes as `column_value` or `column=value`: by name, their values.

    Each value comes with the mark that stands before it.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        if name in columns:
            continue
        # The longest column that the name begins with: `plan_type_basic` is of plan_type, not of plan.
        begins = [column for column in columns if column not in names and name.startswith(column)]
        for column in sorted(begins, key=len, reverse=True):
            mark, value = name[len(column) : len(column) + 1], name[len(column) + 1 :]
            if mark in ("_", "=") and value:
                found.setdefault(column, []).append((value, mark))
                break
    return found


def _grouped(
    names: Sequence[str], one_hot: Mapping[str, Sequence[tuple[str, str]]]
) -> list[tuple[str, tuple[str, ...]]]:
    """The inputs in the model's order: a name, and the values of a one-hot input."""
    of = {f"{name}{mark}{value}": name for name, values in one_hot.items() for value, mark in values}
    inputs = dict.fromkeys(of.get(name, name) for name in names)
    return [(name, tuple(value for value, _ in one_hot.get(name, ()))) for name in inputs]


def _one_hot_input(known: Known, name: str, values: tuple[str, ...]) -> tuple[Input, str]:
    facts = _facts(known, name)
    # Libraries that keep no spaces in names wrote `_` for them; the sample has the values as they are.
    spelled = {value.replace(" ", "_"): value for value in (facts.values if facts else ())}
    values = tuple(spelled.get(value.replace(" ", "_"), value) for value in values)
    declared = Input(
        name=name, type="category", values=values, encoding="one-hot", missing=_missing(facts, None)
    )
    return declared, f"one-hot, as the model's {len(values)} columns are called; {_blanks(facts)}"


def _plain_input(known: Known, name: str) -> tuple[Input, str]:
    facts = _facts(known, name)
    field = next((field for field in known.fields or () if field.name == name), None)
    # A tensor of texts has no nan.
    texts = known.described.types.get(_stored(known, name)) == "string"
    missing = "reject" if texts else _missing(facts, field)
    values = known.described.categories.get(_stored(known, name))
    if values:
        declared = Input(name=name, type="category", values=values, missing=missing)
        return declared, f"values as the model's file has them; {_blanks(facts)}"
    kind, source = _type(known, name, field, facts)
    if kind in ("string", "category"):
        return _category_of_sample(name, facts, missing)
    if facts and facts.type == "string":
        raise ModelError(
            f"the model takes {name!r} as a {kind}, but the sample has texts there: {facts.example!r}",
            hint="Give the sample as the model takes it, or declare a category in a --schema FILE.",
        )
    return Input(name=name, type=kind, missing=missing), f"type by {source}; {_blanks(facts)}"


def _type(known: Known, name: str, field: Field | None, facts: Facts | None) -> tuple[InputType, str]:
    """The narrowest type that is certain, and who says so."""
    described = known.described.types.get(_stored(known, name))
    if described == "category":
        return "category", "the model"
    if field and field.type:
        return field.type, "the signature"
    if described:
        return described, "the model"
    if facts and facts.type:
        return facts.type, "the sample"
    return "number", "default"


def _category_of_sample(name: str, facts: Facts | None, missing: Any) -> tuple[Input, str]:
    if facts is None or facts.type is None:
        raise ModelError(
            f"the categories of {name!r} are not known: neither the model's file nor a sample has them",
            hint="Give --sample FILE with rows that hold each of them, or --schema FILE with the inputs.",
        )
    if facts.type != "string":
        raise ModelError(
            f"the model takes {name!r} as a category, but the sample has no texts there: {facts.example!r}",
            hint="Declare it in a --schema FILE as a category of texts, in the order of the codes that it was"
            " trained on: events then hold the texts.",
        )
    if facts.distinct > _MOST_CATEGORIES:
        raise ModelError(
            f"{name!r} has {facts.distinct:,} different texts, such as {facts.example!r}: no category",
            hint="Leave it out of the sample when the model does not take it; else declare it in a --schema.",
        )
    declared = Input(name=name, type="category", values=facts.values, missing=missing)
    order = "sorted as pandas sorts them: CHECK that training had them so"
    return declared, f"values by the sample, {order}; {_blanks(facts)}"


def _facts(known: Known, name: str) -> Facts | None:
    if known.table is None or name not in known.table.columns:
        return None
    return look_at(known.table, name)


def _stored(known: Known, name: str) -> str:
    """The name of a column in the model's file."""
    names = known.described.names or ()
    return name if name in names else name.replace(" ", "_")


def _missing(facts: Facts | None, field: Field | None) -> Any:
    if field is not None:
        return "reject" if field.required else "nan"
    return "nan" if facts and facts.missing else "reject"


def _blanks(facts: Facts | None) -> str:
    if facts is None:
        return "not in a sample"
    return f"{facts.missing:,} of {facts.rows:,} blank" if facts.missing else f"none of {facts.rows:,} blank"
