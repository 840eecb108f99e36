import numpy as np
import pytest

from onnxq.calibration.collected_statistics import CollectedStatistics, StatisticsIdentity
from onnxq.calibration.few_rows import describe_few_rows
from onnxq.calibration.statistics import StatisticsCollector, empty_statistics


def collected(rows, *, batch_rows=1):
    collector = StatisticsCollector(empty_statistics(len(rows)))
    for run, row in enumerate(rows):
        collector.fold(run, np.asarray(row, np.float32))
    return CollectedStatistics(
        identity=StatisticsIdentity(
            model_sha256="a",
            rows_sha256="b",
            batch_rows=batch_rows,
            runs=len(rows),
            onnxruntime="1.31",
        ),
        row_names=tuple(map(str, range(len(rows)))),
        given_rows=len(rows) * batch_rows,
        dropped_rows=0,
        tensors={"x": collector.statistics()},
    )


def normal(count):
    return list(np.random.default_rng(0).standard_normal((count, 20)))


@pytest.mark.parametrize(("count", "words"), [(1, "on 1 row;"), (3, "on 3 rows;"), (9, "on 9")])
def test_few_rows_are_told(count, words):
    (finding,) = describe_few_rows(collected(normal(count)))
    assert (finding.code, finding.severity) == ("OQ140", "warning")
    assert words in finding.message
    assert finding.evidence == {"rows": count, "different_rows": count}


def test_ten_rows_are_not_few():
    assert describe_few_rows(collected(normal(10))) == ()
    assert describe_few_rows(collected(normal(5), batch_rows=2)) == ()


def test_copies_of_a_row_are_told():
    (finding,) = describe_few_rows(collected(normal(1) * 200))
    assert finding.message == "All 200 calibration rows look the same to the model."
    assert describe_few_rows(collected([*normal(1) * 200, *normal(2)])) == ()


def test_rows_that_were_left_out_do_not_count():
    rows = normal(64)
    for row in rows[2:]:
        row[0] = np.nan
    found = collected(rows)
    assert np.count_nonzero(found.runs_left_out) == 62
    (finding,) = describe_few_rows(found)
    assert "on 2 rows;" in finding.message
    assert describe_few_rows(collected([np.full(3, np.nan)] * 20)) == ()
