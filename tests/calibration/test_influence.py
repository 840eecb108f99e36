import numpy as np
import pytest

from onnxq.calibration.influence import describe_influence
from onnxq.calibration.oddities import describe_tensor
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics


def statistics_of(tensors):
    found = {}
    for name, rows in tensors.items():
        collector = StatisticsCollector(empty_statistics(len(rows)))
        for row, values in enumerate(rows):
            collector.fold(row, np.asarray(values, np.float32))
        found[name] = collector.statistics()
    return found


def normal(count, tensors=6, values=200, seed=0):
    generator = np.random.default_rng(seed)
    return {f"t{i}": generator.standard_normal((count, values)) for i in range(tensors)}


def names(count):
    return [f"photo{i}.jpg" for i in range(count)]


def described(tensors):
    statistics = statistics_of(tensors)
    return describe_influence(statistics, names(len(next(iter(tensors.values())))))


def scaled(tensors, rows, scale):
    for one in tensors.values():
        one[rows] *= scale
    return tensors


@pytest.mark.parametrize("count", [1, 2, 7, 8, 16, 64, 500])
@pytest.mark.parametrize("kind", ["normal", "laplace", "relu", "row scales"])
def test_natural_rows_are_no_outliers(count, kind):
    for seed in range(3):
        tensors = normal(count, seed=seed)
        generator = np.random.default_rng(seed)
        scales = np.exp(0.3 * generator.standard_normal((count, 1)))
        change = {
            "normal": lambda x: x,
            "laplace": lambda x: np.sign(x) * x * x,
            "relu": lambda x: np.maximum(x, 0.0),
            "row scales": lambda x, scales=scales: x * scales,
        }[kind]
        assert not described({name: change(rows) for name, rows in tensors.items()})


@pytest.mark.parametrize("scale", [5.0, 255.0])
@pytest.mark.parametrize("count", [8, 64, 500])
def test_a_row_on_another_scale_is_named(count, scale):
    (finding,) = described(scaled(normal(count), [count // 2], scale))
    assert (finding.code, finding.severity) == ("OQ150", "warning")
    assert finding.evidence["row"] == f"photo{count // 2}.jpg"
    assert (finding.evidence["rows"], finding.evidence["tensors"]) == (1, 6)
    assert finding.evidence["gain_db"] == pytest.approx(20 * np.log10(scale), abs=5)
    assert finding.evidence["row"] in finding.fix


def test_rows_that_hide_each_other_are_named_together():
    (finding,) = described(scaled(normal(500), [3, 99, 250, 400], 60.0))
    assert finding.evidence["rows"] == 4
    assert finding.subject.startswith("rows photo")
    assert finding.subject.endswith(" and 1 more")
    assert finding.message.startswith("They are 4 of 500 calibration rows and at least double the ")
    assert finding.evidence["tensor"] == "t0"  # the nearest to the input, not the widest
    assert finding.subject in finding.fix
    (evidence,) = (finding.evidence,)
    assert evidence["width"] / evidence["width_without"] > 30


def test_rows_that_are_too_many_are_no_outliers():
    assert not described(scaled(normal(100), range(10), 60.0))


def test_a_row_that_is_large_in_one_tensor_of_many_is_none():
    tensors = normal(64, tensors=20)
    tensors["t3"][5, 0] = 10.0
    assert not described(tensors)


def test_what_is_left_out_of_ranges_is_not_told_twice():
    tensors = scaled(normal(200, values=2000), [17], 1e7)
    statistics = statistics_of(tensors)
    assert [one.code for one in describe_tensor("t0", statistics["t0"], names(200))] == ["OQ144"]
    assert not describe_influence(statistics, names(200))


def test_masks_and_rows_that_are_not_finite_are_no_matter():
    tensors = normal(64)
    for rows in tensors.values():
        rows[:, 0] = -3.4e38
        rows[9] = np.nan
    assert not described(tensors)


def test_zeros_and_nothing_have_no_outliers():
    assert not described({"t": np.zeros((20, 5))})
    assert not describe_influence({}, [])
    assert not describe_influence({"t": empty_statistics(9)}, names(9))
