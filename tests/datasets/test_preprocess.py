"""The preprocessing option as text: it round-trips, presets are specs, and mistakes are named."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.datasets.preprocess import (
    PRESETS,
    parse_preprocess,
    render_preprocess,
    without_geometry,
)
from onnxq.datasets.values import MAX_SIDE_PIXELS, AsGiven, PreprocessSpec
from onnxq.errors import UsageError

SIDES = st.integers(1, MAX_SIDE_PIXELS)
POSITIVE = st.floats(1e-30, 1e30)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def specs(draw):
    order = draw(st.sampled_from(["rgb", "bgr", "gray"]))
    counts = [1] if order == "gray" else [1, 3]

    def per_channel(values):
        count = draw(st.sampled_from(counts))
        return tuple(draw(st.lists(values, min_size=count, max_size=count)))

    kind = draw(st.sampled_from(["none", "size", "resize"]))
    size, height, width = draw(SIDES), draw(SIDES), draw(SIDES)
    side = {"none": MAX_SIDE_PIXELS, "size": size, "resize": min(height, width)}[kind]
    return PreprocessSpec(
        order=order,
        size=size if kind == "size" else 0,
        resize_height=height if kind == "resize" else 0,
        resize_width=width if kind == "resize" else 0,
        crop=draw(st.integers(0, side)),
        scale=draw(POSITIVE),
        mean=per_channel(FINITE),
        std=per_channel(POSITIVE),
    )


@given(specs())
def test_what_is_printed_parses_back(spec):
    assert parse_preprocess(render_preprocess(spec)) == spec


@given(st.sampled_from(sorted(PRESETS)))
def test_a_preset_is_an_alias_of_a_printable_spec(name):
    assert parse_preprocess(name) == parse_preprocess(render_preprocess(PRESETS[name]))


def test_the_full_spelling_means_what_it_says():
    spec = parse_preprocess("order=bgr,size=256,crop=227,scale=1,mean=104:117:123,std=1:1:1")
    assert spec == PreprocessSpec(
        order="bgr", size=256, crop=227, scale=1.0, mean=(104, 117, 123), std=(1, 1, 1)
    )


def test_a_preset_may_be_changed():
    changed = parse_preprocess("imagenet, crop=227")
    assert (changed.size, changed.crop, changed.scale) == (256, 227, 255.0)


def test_mean_and_std_follow_the_colours_when_a_preset_changes_its_order():
    changed = parse_preprocess("imagenet,order=bgr")
    assert changed.mean == (0.406, 0.456, 0.485)
    assert changed.std == (0.225, 0.224, 0.229)
    assert parse_preprocess("imagenet,order=bgr,mean=1:2:3").mean == (1, 2, 3)


def test_an_exact_size_replaces_the_size_of_a_preset():
    changed = parse_preprocess("imagenet,resize=240x320")
    assert (changed.resize_height, changed.resize_width, changed.size, changed.crop) == (
        (240, 320, 0, 0)
    )


def test_geometry_can_be_taken_away():
    assert parse_preprocess("imagenet,size=0,crop=0") == without_geometry(PRESETS["imagenet"])


def test_rows_as_given_print_as_that():
    assert render_preprocess(AsGiven()) == "as-given"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no preprocessing called ''"),
        ("imgenet", "Did you mean 'imagenet'?"),
        ("imagenet,crp=227", "Did you mean 'crop'?"),
        ("imagenet,zero-one", "a preset comes first"),
        ("order=rbg", "rgb, bgr or gray"),
        ("size=large", "a length in pixels"),
        ("size=-1", "size, crop and resize are pixels"),
        ("size=99999999", "size, crop and resize are pixels"),
        ("size=1,size=2", "given twice"),
        ("resize=240", "HEIGHTxWIDTH"),
        ("resize=0x320", "HEIGHTxWIDTH"),
        ("size=256,resize=240x320", "exclude each other"),
        ("imagenet,crop=300", "crop=300 is larger"),
        ("scale=0", "above 0"),
        ("scale=nan", "above 0"),
        ("std=1:0:1", "std is above 0"),
        ("mean=inf", "finite"),
        ("mean=1:2", "one value or one per channel"),
        ("imagenet,order=gray", "one value or one per channel (1 for order=gray)"),
    ],
)
def test_a_mistake_is_named_with_a_way_on(text, says):
    with pytest.raises(UsageError) as caught:
        parse_preprocess(text)
    assert caught.value.code == "OQ126"
    assert says in str(caught.value)
    assert "imagenet" in caught.value.hint


def test_options_are_parsed_without_loading_an_array_library():
    code = "import sys, onnxq.datasets.preprocess; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"
