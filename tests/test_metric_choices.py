"""Metrics by name, both ways."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.errors import UsageError
from onnxq.metric_choices import (
    Auroc,
    Automatic,
    ClassScore,
    MetricChoice,
    Perplexity,
    Psnr,
    TopK,
    UserMetric,
    ValueScore,
    drop_units,
    metric_name,
    own_unit,
    parse_metric,
    spoken_name,
)

IDENTIFIERS = st.from_regex(r"[a-zA-Z_][a-z0-9_]{0,8}", fullmatch=True)
CHOICES = st.one_of(
    st.just(Automatic()),
    st.builds(TopK, st.integers(1, 10**9 - 1)),
    st.builds(
        ClassScore,
        st.sampled_from(["f1", "precision", "recall"]),
        st.sampled_from(["", "macro", "micro", "weighted"]),
    ),
    st.just(Auroc()),
    st.builds(ValueScore, st.sampled_from(["mae", "mse", "rmse", "r2", "cosine"])),
    st.builds(Psnr, st.floats(0, allow_nan=False, allow_infinity=False)),
    st.builds(Perplexity, st.sampled_from(["", "logits", "probs"])),
    st.builds(UserMetric, IDENTIFIERS, IDENTIFIERS),
    st.builds(UserMetric, st.from_regex(r"[\w/:. ]{0,9}\w\.py", fullmatch=True), IDENTIFIERS),
)


@given(CHOICES)
def test_a_name_parses_back(choice):
    name = metric_name(choice)
    if name == name.strip():
        assert parse_metric(name) == choice
    assert msgspec.json.decode(msgspec.json.encode(choice), type=MetricChoice) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("", Automatic()),
        (" top1 ", TopK(1)),
        ("top-5", TopK(5)),
        ("top10", TopK(10)),
        ("f1", ClassScore("f1")),
        ("recall-weighted", ClassScore("recall", "weighted")),
        ("psnr-255", Psnr(255.0)),
        ("perplexity-probs", Perplexity("probs")),
        ("pkg.mod:fn", UserMetric("pkg.mod", "fn")),
        ("C:/metrics/mine.py:fn", UserMetric("C:/metrics/mine.py", "fn")),
    ],
)
def test_what_people_type(text, choice):
    assert parse_metric(text) == choice


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("acuracy", ""),
        ("F1", "f1"),
        ("f1-marco", "f1-macro"),
        ("top0", "top"),
        ("auc", "auroc"),
        ("preplexity", "perplexity"),
        ("psnr-0", "psnr"),
        ("psnr-1e999", "psnr"),
        ("pkg.mod:", ""),
        (":fn", ""),
        (".py:fn", ""),
        ("a b:fn", ""),
    ],
)
def test_what_is_no_metric_is_refused_with_the_nearest(text, near):
    with pytest.raises(UsageError, match="there is no metric") as caught:
        parse_metric(text)
    assert caught.value.code == "OQ100"
    assert near in caught.value.hint
    assert "top1" in caught.value.hint


@given(st.text())
def test_no_text_gets_past_as_another_error(text):
    with contextlib.suppress(UsageError):
        parse_metric(text)


@pytest.mark.parametrize("make", [lambda: TopK(0), lambda: Psnr(-1.0), lambda: Psnr(float("nan"))])
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ValueError, match=r"top-0|peak"):
        make()


def test_units():
    assert drop_units(Automatic()) == ("pp", "%", "mse")
    assert drop_units(TopK(5)) == ("pp", "%")
    assert drop_units(ClassScore("f1", "macro")) == ("pp", "%", "f1")
    assert drop_units(Psnr(255.0)) == ("db",)
    assert drop_units(ValueScore("rmse")) == ("rmse", "%")
    assert drop_units(ValueScore("r2")) == ("r2",)
    assert drop_units(UserMetric("a", "dice")) == ("pp", "%", "dice")
    assert own_unit(Perplexity("probs")) == "perplexity"
    assert own_unit(TopK(3)) == "top3"


def test_names_in_sentences():
    assert spoken_name(TopK(5)) == "top-5"
    assert spoken_name(Psnr(255.0)) == "psnr"
    assert spoken_name(UserMetric("a/b.py", "dice")) == "dice"
    assert spoken_name(ClassScore("f1", "macro")) == "f1-macro"
