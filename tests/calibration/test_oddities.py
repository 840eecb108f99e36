"""Findings about single tensors: each names the tensor and a row."""

import numpy as np
import pytest

from onnxq.calibration.oddities import describe_non_finite, describe_tensor
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics


def collect(rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for index, row in enumerate(rows):
        collector.fold(index, np.asarray(row, np.float32))
    return collector.statistics()


def names_of(count=30):
    return [f"photo{index}.jpg" for index in range(count)]


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_constant_is_told(value):
    (finding,) = describe_tensor("t", collect([np.full(9, value)] * 3), names_of())
    assert (finding.code, finding.evidence["value"]) == ("OQ145", value)


def test_rows_that_are_not_finite_are_named_where_it_begins():
    first, behind = (
        StatisticsCollector(empty_statistics(3)),
        StatisticsCollector(empty_statistics(3)),
    )
    for row in (0, 2):
        first.fold(row, np.ones(2, np.float32))
        behind.fold(row, np.ones(2, np.float32))
    first.fold(1, np.array([np.inf, 1], np.float32))
    behind.fold(1, np.array([np.nan, np.nan], np.float32))
    statistics = {"conv1": first.statistics(), "conv2": behind.statistics()}
    (finding,) = describe_non_finite(statistics, names_of())
    assert (finding.code, finding.subject) == ("OQ143", "conv1")
    assert finding.evidence == {
        "tensor": "conv1", "row": "photo1.jpg", "rows": 1, "tensors": 2, "values": 3,
    }  # fmt: skip
    assert describe_non_finite({}, names_of()) == ()


def test_a_constant_says_how_many_rows_it_was_on():
    rows = [np.ones(3), np.ones(3), np.full(3, np.nan)]
    (finding,) = describe_tensor("t", collect(rows), names_of())
    assert finding.evidence["rows"] == 2
    assert finding.message == "It is 1 everywhere on all 2 calibration rows."


@pytest.mark.parametrize("scale", [1e-31, 1e-38, 1e-44])
def test_values_too_small_for_a_scale_are_told_with_the_row_of_the_largest(scale):
    rows = np.random.default_rng(1).uniform(-1, 1, (4, 50))
    rows[2, 0] = 3.0
    (finding,) = describe_tensor("t", collect(rows * scale), names_of())
    assert (finding.code, finding.subject) == ("OQ149", "t")
    assert finding.evidence["row"] == "photo2.jpg"
    assert finding.evidence["value"] == pytest.approx(3 * scale, rel=0.3)
    assert "count as zero" in finding.message


def test_small_values_that_have_a_scale_are_nothing_odd():
    rows = np.random.default_rng(1).uniform(-1, 1, (4, 50)) * 1e-29
    assert describe_tensor("t", collect(rows), names_of()) == ()


def test_a_tensor_without_values_is_nothing_odd():
    assert describe_tensor("t", collect([np.zeros((1, 0))] * 2), names_of()) == ()


def test_rows_that_are_not_finite_are_counted_in_words():
    rows = [np.full(3, np.nan)] * 5 + [np.ones(3)]
    (finding,) = describe_non_finite({"x": collect(rows)}, [str(row) for row in range(6)])
    assert "Rows 0, 1, 2 and 2 more are left out of all ranges" in finding.message
    assert "because 1 activation has such values" in finding.message


def test_the_fix_names_the_nodes_that_take_the_tensor():
    rows = [np.random.default_rng(1).standard_normal(500) for _ in range(9)]
    rows[7] = rows[7] * 1e6
    statistics = collect(rows)
    names = [str(row) for row in range(9)]
    (finding,) = describe_tensor("cc", statistics, names, ["c3n", "a b"])
    assert finding.message.startswith("It reaches ")
    assert " in row 7, " in finding.message
    assert finding.fix.endswith("in float:  --keep-float c3n --keep-float 'a b'")
    (finding,) = describe_tensor("cc", statistics, names, list("abcde"))
    assert finding.fix.endswith("--keep-float c and so for 2 more nodes")
    (finding,) = describe_tensor("cc", statistics, names, maker="c3n")
    assert finding.fix.endswith("leave what makes it in float:  --keep-float c3n")


def test_several_rows_are_named():
    rows = [np.random.default_rng(1).standard_normal(500) for _ in range(9)]
    for row in rows[2:7]:
        row[0] = -1e9
    (finding,) = describe_tensor("t", collect(rows), [str(row) for row in range(9)])
    assert finding.message.startswith("It reaches -1e+09 in rows 2, 3, 4 and 2 more, which looks")
