"""Ranges for recipes on a graph; a Concat of Concats, where the outer one leads."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxq.calibration import choosing
from onnxq.calibration.choosing import RangeChooser
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics
from onnxq.graph.known_edges import KnownEdges
from onnxq.ranges import TensorRange
from onnxq.recipe_kinds import ALIASES
from onnxq.stages import RangesAsked

node = helper.make_node
UNLIKE = {"x": 1.0, "a": 100.0, "b": 0.5, "c": 90.0, "y": 5.0}
APART, TOGETHER = np.eye(6), np.ones((6, 6))


def net(w_y, *, pooled=False):
    """x → a, b, c → Concat(Concat(a, b), c) → y, perhaps with a pool between the two."""
    nodes = [
        *(node("Conv", ["x", f"w_{name}"], [name], name) for name in "abc"),
        node("Concat", ["a", "b"], ["inner"], "inner", axis=1),
        *([node("MaxPool", ["inner"], ["p"], "pool", kernel_shape=[1, 1])] if pooled else []),
        node("Concat", ["p" if pooled else "inner", "c"], ["outer"], "outer", axis=1),
        node("Conv", ["outer", "w_y"], ["y"], "last"),
    ]
    weights = {f"w_{name}": np.ones((2, 2, 1, 1), np.float32) for name in "abc"}
    weights["w_y"] = w_y.astype(np.float32).reshape(6, 6, 1, 1)
    return helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )


def statistics_of(name, widths):
    rows = np.random.default_rng(0).uniform(-1, 1, (4, 500)).astype(np.float32)
    collector = StatisticsCollector(empty_statistics(4))
    for index, row in enumerate(rows):
        collector.fold(index, row * np.float32(widths[name]))
    return collector.statistics()


def settled(*aliases, w_y=APART, widths=UNLIKE, pooled=False):
    wanted = {alias: RangesAsked(recipe=ALIASES[alias]) for alias in aliases}
    chooser = RangeChooser(KnownEdges(net(w_y, pooled=pooled)), wanted)
    assert set(chooser.observed) == widths.keys()
    return chooser.settle({name: statistics_of(name, widths) for name in chooser.observed})


def test_unlike_parts_of_an_inner_concat_keep_the_outer_one_float():
    found = settled("int8-minmax")["int8-minmax"]
    assert found.kept_float == ("outer", "y")
    assert [one.worst for one in found.unlike] == ["b"]
    for name in "abc":
        one = statistics_of(name, UNLIKE)
        assert found.ranges[name] == TensorRange(one.low, one.high)


@pytest.mark.parametrize(
    ("w_y", "widths"),
    [
        (TOGETHER, UNLIKE),  # each output channel is large, whatever becomes of b
        (APART, UNLIKE | {"b": 30.0}),  # b has three tenths of the width of all
    ],
)
def test_an_inner_concat_is_not_judged_again(w_y, widths):
    found = settled("int8-minmax", w_y=w_y, widths=widths)["int8-minmax"]
    assert found.kept_float == ()
    assert found.ranges["b"] == found.ranges["inner"] == found.ranges["outer"]


@pytest.mark.parametrize("b", [0.5, 50.0])
def test_what_a_pool_hides_from_the_outer_concat_is_judged_by_its_scale(b):
    """Of the parts of the inner one, some are narrow; the pool makes them one part."""
    found = settled("int8-minmax", widths=UNLIKE | {"b": b, "p": 100.0}, pooled=True)
    assert ("inner" in found["int8-minmax"].kept_float) == (b == 0.5)


def test_each_range_is_chosen_once_whatever_number_of_concats_is_looked_at(monkeypatch):
    asked = []

    def choose(statistics, method, use, **options):
        asked.append((id(statistics), method, use, options["activation"]))
        return choose_range(statistics, method, use, **options)

    choose_range = choosing.choose_range
    monkeypatch.setattr(choosing, "choose_range", choose)
    found = settled("int8", "int8-minmax")
    assert len(set(asked)) == len(asked)
    assert found["int8"].kept_float == found["int8-minmax"].kept_float
