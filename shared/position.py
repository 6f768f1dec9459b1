"""Where an event or a row stands, as text: the id of its prediction."""


def position_of(topic: str, partition: int, offset: int) -> str:
    """An event's position, the id of its prediction: `topic/partition/offset`."""
    return f"{topic}/{partition}/{offset}"


def position_prefix(*place: str | int) -> str:
    """The part of a position that a batch of rows shares: `topic/partition/` or `file/`."""
    return "".join(f"{part}/" for part in place)
