"""Stars: what no other candidate beats, uncertainty counted in."""

from sample_reports import DYNAMIC, FP32, INT8, INT8_MINMAX, SAMPLES, report

from onnxq.cli.columns import front_of
from onnxq.cli.front import Standing, undominated
from onnxq.estimates import Estimate


def at(alias, speed, quality, noise=0.05):
    def around(value):
        return Estimate(value, value - noise, value + noise, 9, "x")

    return Standing(alias=alias, speed=around(speed), quality=around(quality))


def test_faster_and_not_worse_beats():
    assert undominated([at("a", 1, 0), at("b", 2, 0)]) == {"b"}


def test_a_trade_keeps_both():
    assert undominated([at("a", 1, 0), at("b", 2, -1)]) == {"a", "b"}


def test_differences_within_the_noise_beat_nobody():
    assert undominated([at("a", 1.0, 0), at("b", 1.04, 0.03)]) == {"a", "b"}


def test_better_and_not_slower_beats():
    assert undominated([at("a", 1, 0), at("b", 1, 1)]) == {"b"}


def test_nobody_beats_itself():
    assert undominated([at("a", 1, 0)]) == {"a"}


def test_of_the_sample_only_the_fast_and_accurate_one_has_a_star():
    assert front_of(report()) == {"int8"}


def test_too_few_to_rank_get_no_stars():
    assert not front_of(report(variants=(FP32, INT8)))


def test_agreement_ranks_where_there_are_no_labels():
    assert "int8" in front_of(SAMPLES["without_labels"]())
    assert not front_of(SAMPLES["without_data"]())


def test_more_candidates_never_give_a_beaten_one_its_star_back():
    assert "int8-dynamic" not in front_of(report(variants=(FP32, INT8, DYNAMIC, INT8_MINMAX)))
