from dataclasses import replace

import numpy as np
import pytest

from onnxq.calibration.outliers import (
    describe_non_finite,
    describe_tensor,
    find_outliers,
)
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics

LOWEST = float(np.finfo(np.float32).min)


def collect(rows):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for index, row in enumerate(rows):
        collector.fold(index, np.asarray(row, np.float32))
    return collector.statistics()


def rows_of(count=20):
    return list(np.random.default_rng(2).standard_normal((count, 500)).astype(np.float32))


def names_of(count=30):
    return [f"photo{index}.jpg" for index in range(count)]


def test_ordinary_values_have_no_outliers():
    statistics = collect(rows_of())
    found = find_outliers(statistics)
    assert found.kind == "none"
    assert (found.low, found.high) == (statistics.low, statistics.high)
    assert describe_tensor("t", statistics, names_of()) == ()


@pytest.mark.parametrize("mask", [-1e9, -1e30, LOWEST, 1e10])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_a_mask_is_left_out_and_named(mask, share):
    rows = rows_of()
    generator = np.random.default_rng(3)
    masked = [np.where(generator.random(500) < share, np.float32(mask), row) for row in rows]
    masked[0] = rows[0]
    statistics = collect(masked)
    found = find_outliers(statistics)
    assert found.kind == "mask"
    buffer = np.concatenate(masked)
    kept = buffer[np.abs(buffer) < 1e6]
    assert found.low == pytest.approx(kept.min(), rel=1 / 100)
    assert found.high == pytest.approx(kept.max(), rel=1 / 100)
    (finding,) = describe_tensor("scores_masked", statistics, names_of())
    assert finding.code == "OQ144"
    assert finding.subject == "scores_masked"
    assert finding.evidence["row"] == "photo1.jpg"
    assert "mask" in finding.message


def test_a_stray_row_is_left_out_and_named():
    rows = rows_of()
    rows[7] = rows[7] * np.float32(1e6)
    statistics = collect(rows)
    found = find_outliers(statistics)
    assert found.kind == "stray"
    assert found.rows == (7,)
    others = np.concatenate(rows[:7] + rows[8:])
    assert (found.low, found.high) == (others.min(), others.max())
    (finding,) = describe_tensor("t", statistics, names_of())
    assert (finding.code, finding.evidence["row"]) == ("OQ144", "photo7.jpg")
    assert " in row photo7.jpg, " in finding.message
    assert "photo7.jpg" in finding.fix


def test_large_values_in_many_rows_are_part_of_the_tensor():
    rows = rows_of()
    for row in rows[::2]:
        row[0] = 1e6
    statistics = collect(rows)
    found = find_outliers(statistics)
    assert found.kind == "proportion"
    assert found.high == 1e6
    (finding,) = describe_tensor("t", statistics, names_of())
    assert finding.code == "OQ144"
    assert "hardly used" in finding.message


def test_the_rule_does_not_depend_on_the_order_of_rows():
    rows = rows_of()
    rows[7] = rows[7] * np.float32(1e6)
    found, turned = find_outliers(collect(rows)), find_outliers(collect(rows[::-1]))
    assert turned == replace(found, rows=(12,))


def test_a_tensor_that_lives_in_one_row_alone_is_no_stray():
    rows = [np.zeros(500, np.float32) for _ in range(20)]
    rows[3] = rows_of()[3]
    assert find_outliers(collect(rows)).kind == "none"


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
