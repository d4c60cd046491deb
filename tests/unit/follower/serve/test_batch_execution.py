"""Requests into one batch and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.serve.modelserver.server.execution import kind_of, samples_of, split, stack
from follower.serve.modelserver.server.refusal import Refused


def test_a_single_request_is_not_copied() -> None:
    """The common case costs nothing."""
    request = {"x": np.zeros((1, 2))}
    assert stack([request]) is request
    output = np.zeros((1, 2))
    assert split([output], [1])[0][0] is output


@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_what_is_stacked_splits_into_the_same_rows(sizes: list[int]) -> None:
    """Every request gets its own rows back, in order, of every tensor."""
    requests = [
        {"x": np.full((size, 2), number), "y": np.arange(size) + 100 * number} for number, size in enumerate(sizes)
    ]
    batch = stack(requests)
    assert batch["x"].shape == (sum(sizes), 2)
    for request, (x, y) in zip(requests, split([batch["x"], batch["y"]], sizes), strict=True):
        np.testing.assert_array_equal(x, request["x"])
        np.testing.assert_array_equal(y, request["y"])


@pytest.mark.parametrize("output", [np.zeros((1, 2)), np.zeros(()), np.zeros((6, 2))])
def test_an_output_without_a_row_per_sample_is_refused(output: np.ndarray) -> None:
    """Nobody is given another's rows."""
    with pytest.raises(Refused, match="cannot be batched") as caught:
        split([output], [2, 3])
    assert caught.value.status == 500


def test_requests_of_equal_shapes_beyond_the_batch_are_of_one_kind() -> None:
    """The order of the inputs does not matter, their other dimensions do."""
    one = kind_of({"a": np.zeros((1, 3)), "b": np.zeros((1, 4))})
    assert kind_of({"b": np.zeros((7, 4)), "a": np.zeros((7, 3))}) == one
    assert kind_of({"a": np.zeros((1, 4)), "b": np.zeros((1, 3))}) != one


def test_samples_are_the_first_dimension_that_all_inputs_share() -> None:
    """Where they share none, a request is one sample."""
    assert samples_of({"a": np.zeros((4, 3)), "b": np.zeros(4)}) == 4
    assert samples_of({"a": np.zeros((4, 3)), "b": np.zeros(5)}) == 1
    assert samples_of({"a": np.zeros(())}) == 1
