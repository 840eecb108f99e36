"""Columns become fewer and shorter until rows fit."""

from hypothesis import given
from hypothesis import strategies as st

from onnxq.cli.fitting import Cell, Column, fit_columns, total_width


def column(title, *texts, **options):
    return Column(title=(title,), cells=tuple(map(Cell, texts)), **options)


NAME = column("name", "a-very-long-name", crop_to=8, numbers=False)
SIZE = column("MB", "12.5")
RATIO = column("ratio", "1.50", drop_rank=2)
TAIL = column("p90", "13.1", drop_rank=1)
DELTA = column("delta", "-0.1 [-0.5, +0.3]", shorter=(Cell("-0.1 ±0.4"),))
TIME = column("ms", "10.40", drop_rank=-1)
ALL = (NAME, SIZE, RATIO, TAIL, DELTA, TIME)


def titles(width):
    return [c.title[0] for c in fit_columns(ALL, width, "~")]


def test_everything_stays_where_there_is_room():
    assert fit_columns(ALL, total_width(ALL), "~") == ALL


def test_columns_go_by_rank_while_names_are_cut():
    assert titles(60) == ["name", "MB", "ratio", "p90", "delta", "ms"]
    assert titles(52) == ["name", "MB", "p90", "delta", "ms"]
    assert titles(44) == ["name", "MB", "delta", "ms"]


def test_then_columns_get_shorter():
    assert "±" in fit_columns(ALL, 36, "~")[2].cells[0].text


def test_last_go_those_for_narrow_screens_and_names_are_cut_as_far_as_it_takes():
    fitted = fit_columns(ALL, 22, "~")
    assert [c.title[0] for c in fitted] == ["na~e", "MB", "delta"] or total_width(fitted) <= 22


def test_a_name_is_cut_no_further_than_needed():
    fitted = fit_columns((NAME, SIZE), 20, "~")
    assert total_width(fitted) == 20
    assert fitted[0].cells[0].text == "a-very~ng-name"


@given(st.integers(min_value=24, max_value=100))
def test_rows_fit_any_screen(width):
    assert total_width(fit_columns(ALL, width, "~")) <= width


@given(st.integers(min_value=24, max_value=99))
def test_a_wider_screen_never_shows_less(width):
    assert len(titles(width)) <= len(titles(width + 1))
