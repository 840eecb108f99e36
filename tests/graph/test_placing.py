"""Which nodes stay float: small graphs whose answer is plain."""

from itertools import pairwise, product
from math import isclose

import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onnxq.graph.kernel_groups import KernelGroups
from onnxq.graph.placing import SeamCost, TimedGraph, place_nodes
from onnxq.graph.tensor_flow import trace_tensors

CHAIN = ("a", "b", "c", "d")


def chain(operators=("Conv",) * 4):
    nodes = []
    for place, (name, operator) in enumerate(zip(CHAIN, operators, strict=True)):
        inputs = [CHAIN[place - 1] if place else "x", *(["w"] if operator == "Conv" else [])]
        nodes.append(helper.make_node(operator, inputs, [name], name=f"node {name}"))
    value = helper.make_tensor_value_info
    return helper.make_graph(
        nodes,
        "chain",
        [value("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [value("d", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 4, 1, 1], [0.0] * 16)],
    )


def timed(float_ns, integer_ns, seam_ns=0.0, graph: onnx.GraphProto | None = None):
    graph = graph or chain()
    names = [node.output[0] for node in graph.node]
    return TimedGraph(
        flow=trace_tensors(graph),
        groups=KernelGroups({name: name for name in names}, ({}, {})),
        integer=frozenset(names),
        float_ns=dict(zip(names, float_ns, strict=True)),
        integer_ns=dict(zip(names, integer_ns, strict=True)),
        elements={},
        seam=SeamCost(seam_ns, 0.0),
    )


def test_nothing_stays_float_where_integers_are_faster():
    placement = place_nodes(timed([9, 9, 9, 9], [1, 1, 1, 1]))
    assert placement.regions == ()
    assert placement.ns == placement.integer_ns == 4


def test_a_slow_start_stays_float_since_the_seam_only_moves():
    placement = place_nodes(timed([2, 2, 9, 9], [5, 4, 1, 1], seam_ns=3))
    assert placement.nodes == ("a", "b")
    (region,) = placement.regions
    assert (region.float_ns, region.integer_ns) == (4, 9)
    assert (placement.integer_ns, placement.ns) == (11 + 6, 6 + 6)


def test_a_slow_middle_must_pay_for_two_more_seams():
    slow = timed([9, 2, 9, 9], [1, 7, 1, 1], seam_ns=3)
    assert place_nodes(slow).nodes == ()
    assert place_nodes(timed([9, 2, 9, 9], [1, 9, 1, 1], seam_ns=3)).nodes == ("b",)
    assert place_nodes(timed([9, 2, 9, 9], [1, 9, 1, 1], seam_ns=3), reluctance=2).nodes == ()


def test_what_follows_is_integer_only_where_what_it_reads_is():
    graph = chain(("Conv", "MaxPool", "Conv", "Conv"))
    placement = place_nodes(timed([1, 9, 9, 9], [5, 1, 1, 1], graph=graph))
    assert placement.nodes == ()  # MaxPool would have to be float too, for 8 more
    placement = place_nodes(timed([1, 3, 2, 9], [5, 1, 1, 1], graph=graph))
    assert placement.nodes == ("a", "b", "c")


def test_a_seam_does_not_lie_behind_what_moves():
    graph = chain(("Conv", "MaxPool", "Conv", "Conv"))
    placement = place_nodes(timed([1, 1, 3, 9], [5, 2, 1, 1], graph=graph))
    assert placement.nodes == ("a", "b", "c")
    placement = place_nodes(timed([1, 1, 9, 9], [5, 2, 1, 1], graph=graph))
    assert placement.nodes == ()


def test_a_float_result_of_gemm_costs_nothing():
    graph = chain(("Conv", "Conv", "Conv", "Gemm"))
    seams = place_nodes(timed([9] * 4, [1] * 4, seam_ns=5, graph=graph))
    assert seams.ns == 4 + 5


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 9), min_size=4, max_size=4),
    st.lists(st.integers(0, 9), min_size=4, max_size=4),
    st.integers(0, 6),
)
def test_no_choice_is_reckoned_to_be_faster(float_ns, integer_ns, seam_ns):
    placement = place_nodes(timed(float_ns, integer_ns, seam_ns))

    def reckon(floats):
        labels = (True, *floats, True)  # outside the graph everything is float
        crossings = sum(a != b for a, b in pairwise(labels))
        times = zip(floats, float_ns, integer_ns, strict=True)
        return crossings * seam_ns + sum(f if is_float else i for is_float, f, i in times)

    best = min(reckon(floats) for floats in product((False, True), repeat=4))
    assert isclose(placement.ns, best)
    chosen = reckon([name in placement.nodes for name in CHAIN])
    assert isclose(chosen, best)
