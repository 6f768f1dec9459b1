"""Arrow in a command: without pandas, as long as nobody asks for it."""

import pytest

from tests.support.commands import python

pytest.importorskip("pandas")


def test_arrow_does_not_load_pandas_to_look_at_a_value() -> None:
    look = "import pyarrow as pa, sys; pa.array([1, 2]); pa.scalar(0); print('pandas' in sys.modules)"
    assert python("from shared.arrow import leave_pandas_out; leave_pandas_out();" + look) == "False\n"
    # Or there would be nothing to leave out.
    assert python(look) == "True\n"


def test_whoever_asks_arrow_for_pandas_gets_it() -> None:
    ask = "import pyarrow as pa; print(pa.table({'a': [1, 2]}).to_pandas()['a'].sum())"
    assert python("from shared.arrow import leave_pandas_out; leave_pandas_out();" + ask) == "3\n"


def test_pandas_that_is_loaded_already_is_left_to_arrow() -> None:
    look = (
        "import pandas as pd, pyarrow as pa; {}; print(pa.array(pd.Series([1.0, float('nan')])).null_count)"
    )
    leave = "from shared.arrow import leave_pandas_out; leave_pandas_out()"
    assert python(look.format(leave)) == python(look.format("pass")) == "1\n"
