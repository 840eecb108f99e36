"""The verdict's truth table, its sentences, and what holds whatever was measured."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from onnxq.errors import UsageError
from onnxq.estimates import Estimate, exact, wilson
from onnxq.measurements import (
    Accuracy,
    Agreement,
    Compared,
    Judged,
    Latency,
    NoClasses,
    OutputAgreement,
    Quality,
    Size,
    SpeedRatio,
    Unjudged,
)
from onnxq.options import parse_max_drop
from onnxq.paired_proportions import score_limits
from onnxq.reports import (
    Artefact,
    Failed,
    Limits,
    Measured,
    NotApplicable,
    Skipped,
    Tried,
    Unusable,
    Variant,
    Verdict,
)
from onnxq.verdict import decide, fit_limits
from onnxq.verdict.words import interval_words

REFERENCE_BYTES = 40_000_000
NO_DROP = (0, 0, 2000)
LOSES = (80, 10, 1000)
UNSURE = (5, 3, 400)


def ratio(low, high, *, value=0.0, threads=1):
    value = value or (low * high) ** 0.5
    estimate = Estimate(value, low, high, 7, "blocks-t-95")
    clock = "cpu" if threads == 1 else "wall"
    return SpeedRatio(threads=threads, clock=clock, ratio=estimate, wall_ratio=estimate)


FAST = (ratio(1.95, 2.05),)
FASTER = (ratio(2.25, 2.35),)
TIE = (ratio(0.99, 1.03),)
SLOW = (ratio(0.6, 0.65),)
MODEST = (ratio(1.25, 1.35),)
FAST_AT_ONE = (ratio(1.95, 2.05), ratio(0.97, 1.04, threads=2))


def agreement(*, classes=True):
    output = OutputAgreement(
        output="y", sqnr_db=27.43, cosine=0.999, mean_abs_difference=0.01, max_abs_difference=0.1
    )
    same = wilson(494, 500) if classes else NoClasses()
    return Agreement(rows=500, same_top1=same, outputs=(output,))


def top1(lost, gained, rows):
    low, high = score_limits(lost, gained, rows)
    drop = Estimate((lost - gained) / rows, float(low), float(high), rows, "tango-95")
    accuracy = Accuracy(
        metric="top1",
        higher_is_better=True,
        value=wilson(rows * 9 // 10, rows),
        drop=drop,
        discordant_rows=lost + gained,
        scale="rate",
    )
    return Judged(accuracy=accuracy, agreement=agreement())


def mse(drop, low, high, rows=500):
    accuracy = Accuracy(
        metric="mse",
        higher_is_better=False,
        value=exact(0.0125),
        drop=Estimate(drop, low, high, rows, "bca-95"),
        discordant_rows=rows,
    )
    return Judged(accuracy=accuracy, agreement=agreement(classes=False))


def measured(
    alias: str,
    speed: tuple[SpeedRatio, ...],
    quality: Quality,
    file_bytes: int = 10_000_000,
) -> Measured:
    artefact = Artefact(
        file=f"m.{alias}.onnx",
        sha256="",
        size=Size(file_bytes=file_bytes, initializer_bytes={}),
        opset=17,
        ir_version=8,
        min_runtime="1.17",
        quantized_nodes=3,
        quantizable_nodes=3,
    )
    latency = Latency(
        threads=1,
        batch_rows=1,
        cpu_ns=exact(1e6),
        wall_ns=exact(1e6),
        wall_p90_ns=1e6,
        wall_p99_ns=1e6,
        load_ns=1e6,
        peak_bytes=1,
    )
    return Measured(
        alias=alias,
        recipe="fp32" if alias == "fp32" else f"static-{alias}",
        artefact=artefact,
        quality=quality,
        latencies=(latency,),
        speed=speed,
        speed_over_given=(),
        operators=(),
        seconds=1.0,
    )


FP32 = measured("fp32", (), top1(0, 0, 1000), REFERENCE_BYTES)
GIVEN_DROP = Limits(max_drop=0.01, max_drop_given=True)
GIVEN_SPEED = Limits(min_speedup=1.5, min_speedup_given=True)
SMALL = Limits(max_size_bytes=5_000_000)
ROOMY = Limits(max_size_bytes=20_000_000)
ANY = Limits()


def verdict(*candidates: Variant, limits: Limits = ANY, labelled: bool = True) -> Verdict:
    return decide((FP32, *candidates), limits, labelled=labelled)


def one(speed, flips, limits=ANY, file_bytes=10_000_000):
    return verdict(measured("int8", speed, top1(*flips), file_bytes), limits=limits)


@pytest.mark.parametrize(
    ("speed", "flips", "limits", "kind", "met"),
    [
        (FAST, NO_DROP, ANY, "ship", True),
        (FAST, NO_DROP, GIVEN_DROP, "ship", True),
        (FAST, NO_DROP, GIVEN_SPEED, "ship", True),
        (FAST, NO_DROP, ROOMY, "ship", True),
        (FAST, NO_DROP, SMALL, "keep_fp32", False),
        (FAST, UNSURE, ANY, "cannot_tell", True),
        (FAST, UNSURE, GIVEN_DROP, "cannot_tell", False),
        (FAST, UNSURE, GIVEN_SPEED, "cannot_tell", True),
        (FAST, UNSURE, SMALL, "keep_fp32", False),
        (FAST, LOSES, ANY, "keep_fp32", True),
        (FAST, LOSES, GIVEN_DROP, "keep_fp32", False),
        (FAST, LOSES, ROOMY, "keep_fp32", False),
        (TIE, NO_DROP, ANY, "keep_fp32", True),
        (TIE, NO_DROP, GIVEN_DROP, "keep_fp32", True),
        (TIE, NO_DROP, GIVEN_SPEED, "keep_fp32", False),
        (SLOW, NO_DROP, ANY, "keep_fp32", True),
        (SLOW, NO_DROP, ROOMY, "keep_fp32", False),
        (MODEST, NO_DROP, ANY, "ship", True),
        (MODEST, NO_DROP, GIVEN_SPEED, "keep_fp32", False),
        (FAST_AT_ONE, NO_DROP, ANY, "cannot_tell", True),
        (FAST_AT_ONE, NO_DROP, GIVEN_DROP, "cannot_tell", True),
        (FAST_AT_ONE, NO_DROP, GIVEN_SPEED, "cannot_tell", False),
        (FAST_AT_ONE, UNSURE, ANY, "cannot_tell", True),
        (FAST_AT_ONE, UNSURE, GIVEN_DROP, "cannot_tell", False),
        (FAST_AT_ONE, LOSES, ANY, "keep_fp32", True),
    ],
)
def test_truth_table_of_one_candidate(speed, flips, limits, kind, met):
    found = one(speed, flips, limits)
    assert (found.kind, found.limits_met) == (kind, met)


@pytest.mark.parametrize(
    ("speed", "flips", "limits", "broken"),
    [
        (FAST, NO_DROP, GIVEN_DROP, ()),
        (FAST, UNSURE, GIVEN_DROP, ("max_drop",)),
        (FAST, LOSES, GIVEN_DROP, ("max_drop",)),
        (FAST, NO_DROP, SMALL, ("max_size",)),
        (TIE, NO_DROP, GIVEN_SPEED, ("min_speedup",)),
        (FAST_AT_ONE, UNSURE, GIVEN_DROP, ("max_drop",)),
        (
            TIE,
            NO_DROP,
            Limits(min_speedup=1.5, min_speedup_given=True, max_size_bytes=1),
            ("min_speedup", "max_size"),
        ),
    ],
)
def test_broken_limits_are_named(speed, flips, limits, broken):
    assert one(speed, flips, limits).broken_limits == broken


def test_ship_sentence():
    speed = (ratio(1.97, 2.05), ratio(1.6, 1.8, threads=2))
    found = verdict(measured("int8", speed, top1(3, 1, 2000)))
    assert found.sentence == (
        "Ship int8 on this CPU: 2.0x faster, 4.0x smaller, "
        "top-1 -0.1 pp (95 % interval -0.4 to +0.2)."
    )
    assert found.detail == (
        "2.0x less CPU per inference (1 thread, batch 1); 1.7x in wall time at 2 threads. "
        "The interval is inside the default 1 pp limit."
    )
    assert (found.alias, found.candidates) == ("int8", 1)


def test_cannot_tell_sentence():
    found = one(FAST, (9, 4, 400), GIVEN_DROP)
    assert found.sentence == (
        "Cannot tell: int8 is 2.0x faster, but the 95 % interval of its top-1 (-3.4 to +0.6) "
        "crosses your 1 pp limit; about 3200 more rows would settle it."
    )
    assert found.detail.startswith("It would ship with --max-drop 3.4pp. ")


def test_keep_sentences():
    tie, slow = one(TIE, NO_DROP), one(SLOW, NO_DROP)
    assert tie.sentence == (
        "Keep fp32: no recipe is faster here; the best, int8, is tied at 1 thread."
    )
    assert slow.sentence == (
        "Keep fp32: no recipe is faster here; the best, int8, is 1.6x slower at 1 thread."
    )
    assert slow.detail == "1.6x more CPU per inference (1 thread, batch 1)."
    assert one(MODEST, NO_DROP, GIVEN_SPEED).sentence == (
        "Keep fp32: no recipe is 1.5x faster here; the best, int8, is 1.3x faster "
        "(not shown to be above 1.5x) at 1 thread."
    )
    assert one(FAST, NO_DROP, SMALL).sentence == (
        "Keep fp32: int8 is 2.0x faster, but its 10.0 MB are over your limit of 5.0 MB."
    )
    assert one(FAST, LOSES).sentence == (
        "Keep fp32: int8 is 2.0x faster, but loses more than the default 1 pp limit: "
        "top-1 -7.0 pp (95 % interval -9.0 to -5.1)."
    )


def test_depends_on_threads():
    found = one(FAST_AT_ONE, NO_DROP)
    assert found.sentence == (
        "Depends on threads: int8 is 2.0x faster at 1 thread, tied at 2 threads."
    )
    assert "--threads 1" in found.detail


WIDE = ratio(0.4, 2.9, threads=2)


def test_an_interval_that_tells_nothing_is_no_tie():
    found = one((FAST[0], WIDE), NO_DROP)
    assert found.sentence == (
        "Cannot tell: int8 is 2.0x faster at 1 thread, not known (0.4x to 2.9x) at 2 threads."
    )
    assert found.detail.startswith("Measure for longer (--seconds), or name the count that you")
    assert found.threads == 1


def poor(sqnr_db=8.0, same=330):
    near = agreement()
    output = replace(near.outputs[0], sqnr_db=sqnr_db)
    return Compared(agreement=Agreement(rows=500, same_top1=wilson(same, 500), outputs=(output,)))


NEAR = Compared(agreement=agreement())


def test_without_labels_the_fastest_that_agrees_is_named():
    found = verdict(measured("int8", FASTER, poor()), measured("slow", FAST, NEAR), labelled=False)
    assert (found.kind, found.alias) == ("no_labels", "slow")
    assert "Fast, but far from fp32: int8." in found.detail


def test_without_labels_what_agrees_at_one_thread_count_goes_before_what_disagrees():
    rows = measured("int8", (FASTER[0], WIDE), poor()), measured("near", (FAST[0], WIDE), NEAR)
    found = verdict(*rows, labelled=False)
    assert (found.alias, found.threads) == ("near", 1)
    assert "It names fp32's first class on 98.8" in found.detail
    assert found.detail.endswith("of 500 rows; there are no labels.")


def test_without_labels_nothing_is_named_that_agrees_little():
    for quality in (poor(same=499), poor(sqnr_db=30.0)):
        found = verdict(measured("int8", FAST, quality), labelled=False)
        assert (found.kind, found.alias) == ("no_labels", "")
        assert found.sentence.startswith(
            "No labels, and nothing fast agrees with fp32: int8 is 2.0x faster, 4.0x smaller, but "
        )
        assert "Keep fp32 until labelled rows" in found.detail


def test_with_labels_agreement_does_not_matter():
    judged = top1(*NO_DROP)
    far = replace(judged, agreement=poor().agreement)
    assert verdict(measured("int8", FAST, far)).kind == "ship"


def test_what_was_tried_shortly_and_is_faster_is_told():
    tried = Tried(alias="int8-weights", recipe="w", reason="no faster than fp32", speed_ratio=0.85)
    slower = Tried(alias="int8-partial", recipe="p", reason="no faster than fp32", speed_ratio=0.5)
    found = verdict(measured("int8", SLOW, top1(*NO_DROP)), tried, slower)
    assert found.sentence == (
        "Keep fp32: no recipe is faster here; the best that was measured at length, int8, is 1.6x "
        "slower at 1 thread."
    )
    assert found.detail.endswith("Tried shortly, against fp32: int8-weights (0.85x).")


def test_what_was_not_measured_is_listed_with_its_reason():
    found = verdict(
        NotApplicable(alias="int8", recipe="a", reason="no Conv or MatMul."),
        Skipped(alias="int8-minmax", recipe="b", reason="no rows to calibrate on"),
    )
    assert found.sentence == "Keep fp32: no recipe could be applied here."
    assert found.detail == "int8: no Conv or MatMul. int8-minmax: no rows to calibrate on."


def test_only_measured_candidates_count():
    found = verdict(
        Unusable(alias="int8", recipe="a", reason="its outputs are constant"),
        Failed(alias="int8-dynamic", recipe="b", code="OQ171", reason="crashed", hint=""),
    )
    assert (found.kind, found.sentence) == ("keep_fp32", "Keep fp32: no candidate is usable.")


def test_no_recipe_beside_fp32():
    assert verdict().sentence == "Keep fp32: there is no candidate beside it."


def test_a_run_cut_short_has_no_answer():
    found = verdict(measured("int8", (), Unjudged()), limits=GIVEN_SPEED)
    assert (found.kind, found.alias, found.limits_met) == ("cannot_tell", "", False)


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        (Compared(agreement=agreement()), "it names fp32's first class on 98.80 % of 500 rows."),
        (Compared(agreement=agreement(classes=False)), "its SQNR against fp32 is 27.4 dB"),
        (Unjudged(), "nothing says what its outputs are worth."),
    ],
)
def test_without_labels_the_fastest_is_named_with_its_agreement(quality, words):
    candidates = measured("int8", FAST, quality), measured("int8-minmax", FASTER, quality)
    found = verdict(*candidates, labelled=False)
    assert (found.kind, found.alias) == ("no_labels", "int8-minmax")
    assert words in found.sentence
    assert "accura" not in found.sentence + found.detail


def test_without_labels_slower_is_still_slower():
    found = verdict(measured("int8", SLOW, Compared(agreement=agreement())), labelled=False)
    assert found.kind == "keep_fp32"


def test_the_fastest_is_shipped_and_ties_go_by_size():
    slower = measured("int8", FAST, top1(*NO_DROP), 9_000_000)
    faster = measured("int8-minmax", FASTER, top1(*NO_DROP))
    tied = measured("int8-dynamic", (ratio(2.22, 2.3),), top1(*NO_DROP), 8_000_000)
    assert verdict(slower, faster).alias == "int8-minmax"
    assert verdict(slower, faster, tied).alias == "int8-dynamic"


def test_what_is_passed_over_because_it_is_slow_is_named():
    slow = measured("int8", SLOW, top1(*NO_DROP))
    partial, tied = measured("int8-partial", FAST, top1(*NO_DROP)), measured("d", TIE, Unjudged())
    for labelled in (True, False):
        found = verdict(slow, partial, tied, labelled=labelled)
        assert found.alias == "int8-partial"
        assert "Not fast: int8 (1.6x slower), d (tied)." in found.detail
    assert "Not fast" not in verdict(partial).detail


def test_ties_of_nearly_one_size_go_by_the_drop():
    worse = measured("int8", FASTER, top1(4, 0, 2000), 10_000_000)
    better = measured("int8-minmax", (ratio(2.24, 2.34),), top1(1, 0, 2000), 10_000_900)
    assert verdict(worse, better).alias == "int8-minmax"


def test_a_slower_accurate_candidate_beats_a_faster_lossy_one():
    lossy = measured("int8-minmax", FASTER, top1(*LOSES))
    found = verdict(measured("int8", FAST, top1(*NO_DROP)), lossy)
    assert (found.kind, found.alias, found.candidates) == ("ship", "int8", 2)
    assert "corrected for choosing among 2 candidates" in found.detail


def test_choosing_among_two_needs_stronger_evidence_than_one():
    flips = (1, 0, 600)
    lossy = measured("int8-minmax", FASTER, top1(*LOSES))
    alone = measured("int8", FAST, top1(*flips))
    assert verdict(alone).kind == "ship"
    found = verdict(alone, lossy)
    assert found.kind == "cannot_tell"
    assert "97.5 % interval" in found.sentence
    slow = measured("int8-minmax", SLOW, top1(*LOSES))
    assert verdict(alone, slow).kind == "ship", "a slow candidate is no part of the choice"


def test_another_metric_needs_a_limit():
    candidate = measured("int8", FAST, mse(0.0002, -0.0001, 0.0005))
    found = verdict(candidate)
    assert found.kind == "cannot_tell"
    assert found.sentence == (
        "Cannot tell: int8 is 2.0x faster, mse +0.00020 (95 % interval -0.00010 to +0.00050); "
        "name the largest acceptable change with --max-drop."
    )
    assert "It would ship with --max-drop 0.00050mse." in found.detail
    within = Limits(max_drop=0.0005, max_drop_given=True)
    assert verdict(candidate, limits=within).kind == "ship"
    crossing = verdict(candidate, limits=Limits(max_drop=0.0003, max_drop_given=True))
    assert crossing.kind == "cannot_tell"
    assert "more rows would settle it" in crossing.sentence
    lost = verdict(
        measured("int8", FAST, mse(0.002, 0.001, 0.003)),
        limits=Limits(max_drop=0.0003, max_drop_given=True),
    )
    assert lost.kind == "keep_fp32"


def test_nobody_is_asked_for_a_thousand_million_rows():
    limits = Limits(max_drop=0.001, max_drop_given=True)
    found = verdict(measured("int8", FAST, mse(1.3, -0.2, 2.8)), limits=limits)
    assert found.kind == "cannot_tell"
    assert "more rows" not in found.sentence


def test_no_number_of_rows_shows_a_drop_of_nothing():
    found = one(FAST, (0, 0, 500), Limits(max_drop=0.0, max_drop_given=True))
    assert found.kind == "cannot_tell"
    assert "more rows" not in found.sentence


def test_a_fine_limit_is_shown_in_its_own_digits():
    found = one(FAST, (0, 0, 2000), Limits(max_drop=0.0025, max_drop_given=True))
    assert found.kind == "ship"
    assert "(95 % interval -0.20 to +0.20)" in found.sentence


def _speeds():
    low = st.floats(0.4, 4, allow_nan=False)
    width = st.floats(0, 0.2)
    return st.builds(
        lambda low, width, wall: (
            ratio(low, low + width, value=low + width / 2),
            *((ratio(wall, wall + width, value=wall, threads=2),) if wall else ()),
        ),
        low,
        width,
        st.one_of(st.just(0.0), low),
    )


@st.composite
def _candidates(draw):
    rows = draw(st.sampled_from([50, 400, 2000]))
    count = draw(st.integers(1, 3))
    return [
        measured(
            f"int8-{index}",
            draw(_speeds()),
            top1(draw(st.integers(0, 20)), draw(st.integers(0, 20)), rows),
            draw(st.sampled_from([8_000_000, 10_000_000, 50_000_000])),
        )
        for index in range(count)
    ]


_LIMITS = st.builds(
    Limits,
    max_drop=st.sampled_from([0.0, 0.002, 0.01, 0.05]),
    max_drop_given=st.booleans(),
    min_speedup=st.sampled_from([1.0, 1.02, 1.5, 3.0]),
    min_speedup_given=st.booleans(),
    max_size_bytes=st.sampled_from([0, 9_000_000, 20_000_000]),
)


@given(_candidates(), _LIMITS)
def test_what_is_shipped_keeps_every_limit(candidates, limits):
    found = verdict(*candidates, limits=limits)
    assert found.sentence.isascii()
    assert found.detail.isascii()
    assert found.sentence.endswith(".")
    if found.kind != "ship":
        return
    shipped = next(candidate for candidate in candidates if candidate.alias == found.alias)
    assert all(speed.ratio.low > max(1.02, limits.min_speedup) for speed in shipped.speed)
    assert not any(speed.is_tie for speed in shipped.speed)
    assert isinstance(shipped.quality, Judged)
    assert shipped.quality.accuracy.drop.high <= limits.max_drop + 1e-12
    assert not 0 < limits.max_size_bytes < shipped.artefact.size.file_bytes
    assert found.limits_met


@given(_candidates(), _LIMITS)
def test_nothing_is_shipped_without_labels(candidates, limits):
    assert verdict(*candidates, limits=limits, labelled=False).kind != "ship"


@given(_candidates(), _LIMITS, _LIMITS)
def test_stricter_limits_never_turn_keep_into_ship(candidates, limits, other):
    sizes = [size for size in (limits.max_size_bytes, other.max_size_bytes) if size]
    stricter = Limits(
        max_drop=min(limits.max_drop, other.max_drop),
        max_drop_given=True,
        min_speedup=max(limits.min_speedup, other.min_speedup),
        min_speedup_given=True,
        max_size_bytes=min(sizes, default=0),
    )
    if verdict(*candidates, limits=limits).kind == "keep_fp32":
        assert verdict(*candidates, limits=stricter).kind == "keep_fp32"


@given(_candidates(), _LIMITS)
def test_the_conditional_recommendation_holds(candidates, limits):
    found = verdict(*candidates, limits=limits)
    named = re.search(r"It would ship with --max-drop (\S+)\.(?: |$)", found.detail)
    if named is None:
        assert found.kind != "cannot_tell" or found.sentence.startswith("Depends on threads")
        return
    relaxed = Limits(
        max_drop=parse_max_drop(named[1]),
        max_drop_given=True,
        min_speedup=limits.min_speedup,
        min_speedup_given=limits.min_speedup_given,
        max_size_bytes=limits.max_size_bytes,
    )
    assert relaxed.max_drop > limits.max_drop
    assert verdict(*candidates, limits=relaxed).kind == "ship"


@given(_candidates(), _LIMITS, st.randoms())
def test_the_order_of_candidates_does_not_matter(candidates, limits, random):
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert verdict(*candidates, limits=limits).kind == verdict(*shuffled, limits=limits).kind


@pytest.mark.parametrize(
    ("high", "shown"), [(0.0091, "-0.91 to +0.91"), (0.0099, "-0.99 to +0.99"), (0.013, "-1.3 to")]
)
def test_an_end_inside_the_limit_is_not_rounded_onto_it(high, shown):
    drop = Estimate(0.0, -high, high, 400, "tango-95")
    accuracy = Accuracy(
        metric="top1",
        higher_is_better=True,
        value=Estimate(0.9, 0.85, 0.95, 400, "wilson-95"),
        drop=drop,
        discordant_rows=0,
        scale="rate",
    )
    assert shown in interval_words(accuracy, drop.low, drop.high, Limits())


def judged_by(metric, drop, *, scale="own", higher=True, value=0.9):
    accuracy = Accuracy(
        metric=metric,
        higher_is_better=higher,
        value=exact(value),
        drop=Estimate(drop, drop - 0.004, drop + 0.004, 500, "bca-95"),
        discordant_rows=500,
        scale=scale,
    )
    return Judged(accuracy=accuracy, agreement=agreement())


@pytest.mark.parametrize(
    ("metric", "scale", "said"),
    [
        ("auroc", "share", "your limit of 0.01 auroc"),
        ("f1-macro", "share", "your limit of 0.01 f1"),
        ("psnr-255", "own", "your limit of 0.01 dB"),
        ("a/b.py:dice", "own", "your limit of 0.01 dice"),
        ("a/b.py:right", "rate", "your 1 pp limit"),
    ],
)
def test_each_metric_has_its_words(metric, scale, said):
    limits = Limits(max_drop=0.01, max_drop_given=True)
    found = verdict(measured("int8", FAST, judged_by(metric, 0.001, scale=scale)), limits=limits)
    assert found.kind == "ship"
    assert said in found.detail


def test_a_share_that_is_no_rate_needs_a_limit():
    found = verdict(measured("int8", FAST, judged_by("f1", 0.001, scale="share")))
    assert found.kind == "cannot_tell"
    assert "--max-drop 0.0050f1" in found.detail
    rate = verdict(measured("int8", FAST, judged_by("top1", 0.001, scale="rate")))
    assert rate.kind == "ship", "bootstrapped, as of positions, with the default limit"


def test_a_drop_in_db_says_so():
    candidate = measured("int8", FAST, judged_by("psnr-1", 0.3))
    assert "psnr -0.30 dB (95 % interval" in verdict(candidate).sentence


@pytest.mark.parametrize(
    ("unit", "metric", "scale", "higher", "drop"),
    [
        ("", "mse", "own", False, 0.02),
        ("mse", "mse", "own", False, 0.02),
        ("%", "mse", "own", False, 0.01),
        ("%", "perplexity-logits", "own", False, 0.01),
        ("pp", "top5", "rate", True, 0.02),
        ("%", "f1-macro", "share", True, 0.02),
        ("f1", "f1-macro", "share", True, 0.02),
        ("pp", "m:right", "rate", True, 0.02),
    ],
)
def test_limits_are_taken_into_the_metrics_own_unit(unit, metric, scale, higher, drop):
    limits = Limits(max_drop=0.02, max_drop_given=True, max_drop_metric=unit)
    accuracy = judged_by(metric, 0, scale=scale, higher=higher, value=0.5).accuracy
    assert fit_limits(limits, accuracy).max_drop == drop


@pytest.mark.parametrize(
    ("unit", "metric", "scale", "higher"),
    [
        ("mse", "top1", "rate", True),
        ("pp", "mse", "own", False),
        ("%", "m:margin", "own", True),
        ("dice", "m:iou", "own", True),
    ],
)
def test_a_limit_of_another_metric_is_refused(unit, metric, scale, higher):
    limits = Limits(max_drop=0.02, max_drop_given=True, max_drop_metric=unit)
    accuracy = judged_by(metric, 0, scale=scale, higher=higher).accuracy
    with pytest.raises(UsageError, match=f"written in {unit}") as caught:
        fit_limits(limits, accuracy)
    assert "--max-drop" in caught.value.hint
