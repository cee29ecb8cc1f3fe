import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mtil.data.statistics import feature_statistics

values = arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.floats(-100, 100, width=32))


@given(values, st.integers(0, 2**20))
def test_statistics_equal_numpy_over_the_valid_entries(values: np.ndarray, seed: int) -> None:
    valid = np.random.default_rng(seed).random(values.shape) < 0.7
    found = feature_statistics(torch.from_numpy(values), torch.from_numpy(valid))
    for d in range(values.shape[1]):
        column = values[valid[:, d], d].astype(np.float64)
        if not len(column):
            column = np.zeros(1)
        expected = {
            "mean": column.mean(),
            "std": column.std(),
            "low": column.min(),
            "high": column.max(),
            "q01": np.quantile(column, 0.01),
            "q99": np.quantile(column, 0.99),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(found, name)[d], value, atol=1e-3, rtol=1e-4, err_msg=name)


def test_padding_does_not_count() -> None:
    valid = torch.tensor([[True, True], [True, False]])
    found = feature_statistics(torch.tensor([[1.0, 2.0], [3.0, 999.0]]), valid)
    assert found.mean.tolist() == [2.0, 2.0]
    assert found.high.tolist() == [3.0, 2.0]
