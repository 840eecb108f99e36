"""What calibrating took and what it found out, in words and tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sample_documents import (
    STOPPED_EARLY,
    calibration,
    calibration_plan,
    merged_calibration,
    quantization,
    shard_calibration,
)
from sample_reports import EFFORT, report, shipping

from onnxq.calibrations import CalibrationEffort, ConvergencePoint, Shard
from onnxq.cli.calibration_words import effort_lines
from onnxq.cli.plan_words import plan_facts
from onnxq.cli.range_columns import different_sets, range_columns, widest_first
from onnxq.cli.render import render_report
from onnxq.cli.render_calibration import render_calibration
from onnxq.cli.render_effort import effort_parts
from onnxq.cli.render_quantization import render_quantization
from onnxq.cli.screen import Screen
from onnxq.documents import (
    CalibratedSet,
    Calibration,
    PlannedStep,
    document_to_json,
    read_document,
)
from onnxq.ranges import TensorRange
from onnxq.reports import NoData, NotCalibrated

NOTHING_RAN = {"passes": 0, "cap_bytes": 0, "peak_bytes": 0, "predicted_peak_bytes": 0}


def flowed(text: str) -> str:
    return " ".join(text.split())


def joined(effort: CalibrationEffort) -> str:
    return flowed(" | ".join(effort_lines(effort)))


# What it took.


def test_time_and_memory_stand_beside_what_was_predicted():
    assert effort_lines(EFFORT) == (
        "Calibrated  256 rows, 64 tensors watched, 1 pass",
        "Time        14.1 s (predicted 15.2 s), 27.1 s of CPU",
        "Memory      212 MB beyond the base (predicted 240 MB, allowed 11.0 GB)",
    )


@pytest.mark.parametrize(
    ("effort", "said"),
    [
        (
            replace(EFFORT, origin="cached", **NOTHING_RAN),
            "Calibrated 256 rows, 64 tensors watched, from an earlier run",
        ),
        (
            replace(EFFORT, origin="merged", **NOTHING_RAN),
            "Calibrated 256 rows, 64 tensors watched, merged from parts",
        ),
        (
            replace(EFFORT, origin="given", rows=0, given_rows=0, **NOTHING_RAN),
            "Calibrated 64 tensors, from a file of ranges",
        ),
    ],
)
def test_where_nothing_was_run_nothing_is_said_to_have_been_spent(effort, said):
    assert joined(effort) == said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"origin": "resumed", "passes": 3}, "64 tensors watched, resumed, 3 passes |"),
        ({"rows": 1, "given_rows": 1, "tensors": 1}, "1 row, 1 tensor watched, 1 pass"),
        ({"rows": 64}, "64 of 256 rows, 64 tensors watched"),
        ({"predicted_seconds": 0.0}, "Time 14.1 s, 27.1 s of CPU | Memory"),
        ({"cpu_seconds": 0.0}, "Time 14.1 s (predicted 15.2 s) | Memory"),
        ({"predicted_peak_bytes": 0}, "beyond the base (allowed 11.0 GB)"),
        ({"predicted_peak_bytes": 0, "cap_bytes": 0}, "Memory 212 MB beyond the base"),
        (
            {"cap_bytes": 200_000_000},
            "212 MB beyond the base, over 200 MB allowed (predicted 240 MB)",
        ),
        ({"stride": 8}, "Approximate every 8th value was counted; minmax ranges are exact"),
    ],
)
def test_what_is_not_known_is_left_out_and_what_is_unusual_is_said(change, said):
    assert said in joined(replace(EFFORT, **change))


@pytest.mark.parametrize(
    ("stride", "ordinal"),
    [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (112, "112th")],
)
def test_a_stride_is_an_ordinal(stride, ordinal):
    assert f"every {ordinal} value" in joined(replace(EFFORT, stride=stride))


def test_stopping_early_says_what_the_last_rows_still_changed():
    assert "256 of 2000 rows" in joined(STOPPED_EARLY)
    assert "Settled on these rows: the last of them moved the ranges by 0.04 dB" in joined(
        STOPPED_EARLY
    )
    never = replace(EFFORT, convergence=(ConvergencePoint(rows=128, gap_db=0.31),))
    assert "Settled not early: all rows were used, the last moved the ranges" in joined(never)


EFFORTS = st.builds(
    CalibrationEffort,
    origin=st.sampled_from(["computed", "resumed"]),
    rows=st.integers(0, 10**6),
    given_rows=st.integers(0, 10**6),
    tensors=st.integers(0, 10**4),
    passes=st.integers(1, 99),
    stride=st.integers(1, 10**4),
    cap_bytes=st.integers(0, 10**12),
    predicted_peak_bytes=st.integers(0, 10**12),
    peak_bytes=st.integers(0, 10**12),
    predicted_seconds=st.floats(0, 10**5),
    seconds=st.floats(0, 10**5),
    convergence=st.lists(
        st.builds(ConvergencePoint, rows=st.integers(1, 10**6), gap_db=st.floats(-1, 99)),
        max_size=4,
    ).map(tuple),
)


@given(
    EFFORTS
    | st.builds(
        replace, EFFORTS, origin=st.sampled_from(["cached", "merged", "given"]), passes=st.just(0)
    )
)
def test_no_line_wraps_at_80_columns(effort):
    lines = effort_lines(effort)
    assert max(map(len, lines)) <= 80
    assert len({line[:12].rstrip() for line in lines}) == len(lines)
    effort_parts(effort, Screen(), everything=True)


# In the reports of other verbs.


@pytest.mark.parametrize(
    "text",
    [
        render_report(shipping(), Screen()),
        render_quantization(quantization(), Screen()),
        render_calibration(calibration(), Screen()),
    ],
)
def test_every_verb_that_calibrates_says_so_alike(text):
    assert ", 1 pass\nTime        14.1 s (predicted 15.2 s), 27.1 s of CPU\nMemory " in text


def test_where_nothing_was_calibrated_nothing_is_said():
    assert not effort_parts(NotCalibrated(), Screen(), everything=True)
    assert "Calibrated" not in render_report(report(), Screen())


def test_the_curve_is_shown_to_who_asks_for_more():
    done = replace(shipping(), calibration=STOPPED_EARLY)
    assert "rows    dB" not in render_report(done, Screen())
    text = render_report(done, Screen(), everything=True)
    assert "  32  1.31  ████████████████████████\n  64  0.42  ████████\n" in text
    plain = render_report(done, Screen(ascii_only=True), everything=True)
    assert "  64  0.42  ########\n" in plain


def test_a_curve_of_nothing_but_zeros_has_no_bars():
    settled = replace(EFFORT, convergence=(ConvergencePoint(rows=8, gap_db=0.0),))
    text = render_calibration(replace(calibration(), effort=settled), Screen(), everything=True)
    assert "   8  0.00\n" in text


def test_ranges_from_a_file_are_not_called_calibrated():
    effort = CalibrationEffort(origin="given", rows=0, given_rows=0, tensors=64)
    done = replace(quantization(), data=NoData(), calibration=effort)
    text = flowed(render_quantization(done, Screen()))
    assert "ranges from a file: nothing is calibrated" in text
    assert "no rows were given" not in text


# Ranges.


def some_set(alias: str, key: str, **spans: tuple[float, float]) -> CalibratedSet:
    return CalibratedSet(
        alias=alias,
        recipe=alias,
        key=key,
        ranges={name: TensorRange(*span) for name, span in spans.items()},
        kept_float=(),
    )


def test_recipes_that_share_ranges_share_columns():
    sets = different_sets([
        some_set("a", "mse", x=(0, 1)),
        some_set("b", "auto", x=(0, 2)),
        some_set("c", "mse", x=(0, 1)),
    ])  # fmt: skip
    assert [one.name for one in sets] == ["a, c", "b"]


def test_what_reaches_farthest_comes_first():
    sets = different_sets([
        some_set("a", "mse", x=(-1, 2), y=(-9, 0)),
        some_set("b", "auto", z=(0, 100), x=(-1, 2)),
    ])  # fmt: skip
    assert widest_first(sets) == ("z", "y", "x")
    cells = [[cell.text for cell in column.cells] for column in range_columns("zyx", sets)]
    assert cells == [
        ["z", "y", "x"], ["-", "-9", "-1"], ["-", "0", "2"], ["0", "-", "-1"], ["100", "-", "2"],
    ]  # fmt: skip


def test_a_zero_has_no_sign():
    sets = different_sets([some_set("a", "mse", x=(-0.0, 0.0))])
    assert [column.cells[0].text for column in range_columns("x", sets)] == ["x", "0", "0"]


def test_a_narrow_screen_keeps_the_first_set():
    wide = render_calibration(calibration(), Screen(columns=80))
    narrow = render_calibration(calibration(), Screen(columns=50))
    assert "int8-mse" in wide
    left_out = "no room for int8-mse: a wider screen or --json shows them"
    drawn = narrow.partition("Ranges of")[2].partition("no range")[0]
    assert "int8-mse" not in drawn.partition("no room for")[0]
    assert left_out in flowed(narrow)
    assert "no room" not in wide
    assert "17.8" in narrow


def test_nodes_that_no_range_can_serve_are_named():
    first = calibration().sets[0]

    def said(*names: str) -> str:
        done = replace(calibration(), sets=(replace(first, kept_float=names),))
        return flowed(render_calibration(done, Screen(columns=120)))

    assert "no range could serve a, b: they stay in float." in said("a", "b")
    assert "serve a, b, c and 2 more: they stay in float." in said(*"abcde")


# What comes next.


def test_ranges_are_for_quantize_and_parts_are_for_merge():
    whole = render_calibration(calibration(), Screen(), out="out/", files=("a",))
    assert "Next  onnxq quantize resnet18.onnx --ranges out/resnet18.ranges.json\n" in whole
    part = flowed(
        render_calibration(shard_calibration(), Screen(columns=120), out="p 2", files=("a",))
    )
    assert "Next with those of the other 3 parts: onnxq merge resnet18.onnx 'p 2/" in part
    half = replace(shard_calibration(), shard=Shard(number=1, total=2))
    one = flowed(render_calibration(half, Screen(), files=("a",)))
    assert "Next with that of the other part: onnxq merge" in one
    assert "Ranges of" not in part
    assert "on part 2 of 4 of 256 rows of train.npz" in part
    assert "Next" not in render_calibration(calibration(), Screen())


def test_a_merge_has_no_rows_of_its_own():
    text = flowed(render_calibration(merged_calibration(), Screen()))
    assert "on the rows of all parts" in text
    assert "Calibrated 512 rows, 14 tensors watched, merged from parts" in text


@pytest.mark.parametrize("done", [calibration(), shard_calibration(), merged_calibration()])
def test_the_document_comes_back_from_its_file(done, tmp_path):
    path = tmp_path / "report.json"
    path.write_bytes(document_to_json(done))
    read = read_document(path)
    assert isinstance(read, Calibration)
    assert read == done


# Plans.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "about 1.1 GB; calibrating 240 MB beyond the base in 2 passes over the rows"),
        ({"calibration_passes": 1}, "about 1.1 GB; calibrating 240 MB beyond the base"),
        ({"memory_bytes": 0, "calibration_passes": 1}, "calibrating 240 MB beyond the base"),
        ({"calibration_bytes": 0}, "about 1.1 GB"),
    ],
)
def test_a_plan_says_what_calibrating_would_take(change, said):
    assert plan_facts(replace(calibration_plan(), **change))["memory"] == said


def test_a_plan_says_that_the_cache_may_hold_the_calibration():
    plan = replace(
        calibration_plan(),
        may_be_cached=True,
        steps=(
            PlannedStep(name="prepare", subject="m", seconds=2.0, basis="usual"),
            PlannedStep(name="calibrate", subject="m", seconds=5.0, basis="timed"),
        ),
    )
    assert "about 7.0 s; 2.0 s where the cache holds this calibration" in plan_facts(plan)["time"]
