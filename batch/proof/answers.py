"""What the stream said, as columns by the position of the event that it speaks of."""

from typing import Final

import pyarrow as pa

#: A prediction and a dead letter, in the column `kind`.
PREDICTION, LETTER = 0, 1
#: Answers; the position of the event is `(partition, offset)`, where the answer stands itself is
#: `(at_partition, at_offset)` on the topic of its kind, under its `key`. `value` is the prediction as it was
#: written, or the event's bytes in the letter; `model` is `name@version`; `model_sha256` (12 hex) is of
#: predictions alone. `bytes` and `sha256` are those of a letter that goes without its event's bytes, a `stub`
#: (see `stub_of` in shared/dead_letters.py), or of one with more bytes than are kept here. A prediction has
#: in `replayed` the timestamps of those events of its position that had a dead letter which was replayed:
#: where its own is one of them, it is late on purpose.
ANSWERS: Final = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("kind", pa.int8(), nullable=False),
        pa.field("at_partition", pa.int32(), nullable=False),
        pa.field("at_offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_sha256", pa.string()),
        pa.field("value", pa.binary()),
        pa.field("reason", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("stub", pa.bool_()),
        pa.field("replayed", pa.list_(pa.int64())),
    ]
)
