"""The list of rewrites: whole names below the step that takes them, on any screen."""

import pytest
from sample_inspections import REWRITES

from onnxq.cli.charset import text_columns
from onnxq.cli.render_rewrites import render_rewrites
from onnxq.cli.screen import Screen


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_names_are_whole_and_below_their_step(columns):
    lines = render_rewrites(REWRITES, Screen(columns=columns)).split("\n")
    assert max(map(text_columns, lines)) <= columns
    first = {line.split()[0]: place for place, line in enumerate(lines) if line.strip()}
    steps = [first[step] for step in ("preparation:", "repair:")]
    assert steps[0] < first["sum-before-layer-norm"] < first["fuse-attention"] < steps[1]
    assert steps[1] < first["shift-activations-to-uint8"]
    assert not any(line.startswith("integers") for line in lines)


def test_targets_are_told_where_they_are_not_all():
    text = render_rewrites(REWRITES, Screen(columns=120))
    assert "sum-before-layer-norm  bit-exact\n" in text
    assert "fuse-attention         real-exact; off by default\n" in text
    assert "shift-activations-to-uint8  approximate (x86-amx, x86-vnni, x86)\n" in text
    assert "arm64" not in text


def test_each_exactness_is_explained():
    text = render_rewrites(REWRITES, Screen(columns=120, ascii_only=True))
    end = text.partition("\n\n  ")[2] or text
    for word in ("bit-exact    ", "real-exact   ", "approximate  "):
        assert f"\n{word}" in end
    assert text.isascii()
