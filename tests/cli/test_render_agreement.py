"""How far outputs are from fp32's: on every screen, for one output or many."""

import msgspec
import pytest
from sample_reports import FP32, INT8, report, shipping, without_data

from onnxq.cli.charset import text_columns
from onnxq.cli.render_agreement import agreement_parts
from onnxq.cli.render_parts import draw
from onnxq.cli.screen import Screen


def text_of(found, columns=80, *, ascii_only=False):
    screen = Screen(columns=columns, ascii_only=ascii_only)
    return draw(screen, agreement_parts(found, screen))


def with_outputs(*names):
    agreement = INT8.quality.agreement
    outputs = tuple(
        msgspec.structs.replace(
            agreement.outputs[0],
            output=name,
            sqnr_db=10.0 + place,
            cosine=0.99999999,
            mean_abs_difference=1.234e-6,
            max_abs_difference=1234.5,
        )
        for place, name in enumerate(names)
    )
    quality = msgspec.structs.replace(
        INT8.quality, agreement=msgspec.structs.replace(agreement, outputs=outputs)
    )
    return report(variants=(FP32, msgspec.structs.replace(INT8, quality=quality)))


def test_mean_and_largest_difference_stand_beside_sqnr_and_cosine():
    lines = text_of(shipping()).splitlines()
    assert lines[0] == "How far outputs are from fp32's, on 1000 rows"
    assert lines[2].split() == ["recipe", "top-1", "%", "dB", "cosine", "|Δ|", "|Δ|"]
    assert lines[4].split() == ["int8", "98.20", "27.4", "0.999000", "0.02", "0.31"]
    assert not any(line.startswith("fp32") for line in lines)


def test_a_cosine_is_not_rounded_up_to_one_and_small_differences_are_shown():
    assert "0.999999  1.23e-06  1.23e+03" in text_of(with_outputs("y"))


def test_of_many_outputs_those_that_agree_least_are_shown():
    text = text_of(with_outputs("a", "b", "c", "d"), 100)
    assert "(of 4 outputs the 3 that agree least)" in text
    assert [line.split()[1] for line in text.splitlines()[4:]] == ["a", "b", "c"]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_it_fits_every_screen(columns, ascii_only):
    found = with_outputs("a_rather_long_name_of_an_output", "b")
    text = text_of(found, columns, ascii_only=ascii_only)
    assert max(map(text_columns, text.splitlines())) <= columns


def test_without_rows_there_is_nothing_to_say():
    assert not agreement_parts(without_data(), Screen())
