"""Changes to the table of an Arrow file that `datasets` saved: as to any table, written as that library writes it."""

import io

import numpy as np
import pyarrow as pa

from fuzzing import table_edits
from fuzzing.readings import Difference


def edited(content: bytes, rng: np.random.Generator) -> tuple[bytes, str, Difference]:
    """A file whose table is changed, written anew; what was done, in words; and what may differ then.

    How many rows there are, nothing but these tells: an episode without its last is another, and a file need have none.
    """
    table, words = table_edits.changed(pa.ipc.open_stream(content).read_all(), rng)
    written, size = io.BytesIO(), int(rng.choice([1, 2, 1000]))
    with pa.ipc.new_stream(written, table.schema) as writer:
        writer.write_table(table, max_chunksize=size)
    may_differ = "values" if words in ("a row less", "no rows") else "words"
    return written.getvalue(), f"{words} (pieces of {size})", may_differ
