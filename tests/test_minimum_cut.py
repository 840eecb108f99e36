"""Cheapest cuts, against all cuts there are."""

from itertools import product
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxq.minimum_cut import SINK, SOURCE, source_side

NODES = ("a", "b", "c", "d", "e")
ENDS = st.sampled_from((SOURCE, *NODES, SINK))
NETWORKS = st.dictionaries(
    st.tuples(ENDS, ENDS).filter(lambda ends: ends[0] != ends[1] and ends != (SOURCE, SINK)),
    st.one_of(st.integers(0, 9).map(float), st.just(inf)),
    max_size=16,
)


def cost(capacities, side):
    inside = {SOURCE, *side}
    return sum(
        capacity
        for (tail, head), capacity in capacities.items()
        if tail in inside and head not in inside
    )


@settings(max_examples=300)
@given(NETWORKS)
def test_no_cut_is_cheaper_and_none_as_cheap_has_fewer_nodes(capacities):
    sides = [
        frozenset(node for node, is_in in zip(NODES, chosen, strict=True) if is_in)
        for chosen in product((False, True), repeat=len(NODES))
    ]
    best = min(cost(capacities, side) for side in sides)
    if best == inf:
        return  # the precondition: some cut is finite
    found = source_side(capacities)
    assert cost(capacities, found) == best
    assert len(found) == min(len(side) for side in sides if cost(capacities, side) == best)


@pytest.mark.parametrize("capacities", [{}, {("a", "b"): 1.0}, {(SOURCE, SINK): 2.0}])
def test_networks_without_a_path_or_without_nodes(capacities):
    assert source_side(capacities) == frozenset()
