from dataclasses import replace

import numpy as np
import pytest

from onnxq.calibration.oddities import describe_tensor
from onnxq.calibration.outliers import find_outliers
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
