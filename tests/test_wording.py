"""Words that every floor writes in the same way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxq.wording import share_words, shorten_sentence

SAID = "the kernel was built with static shapes and cannot be used here"


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (100, SAID),
        (31, "the kernel was built with …"),
        (32, "the kernel was built with static …"),
        (33, "the kernel was built with static …"),
        (2, "th …"),
    ],
)
def test_a_text_is_cut_between_words(most, said):
    assert shorten_sentence(SAID, most) == said


@pytest.mark.parametrize(("most", "said"), [(4, "… here"), (7, "… here"), (12, "… be used here")])
def test_the_end_may_stay(most, said):
    assert shorten_sentence(SAID, most, keep_end=True) == said


@given(st.text(alphabet="ab ", max_size=50), st.integers(min_value=1, max_value=60), st.booleans())
def test_what_stays_is_of_the_text(text, most, keep_end):
    short = shorten_sentence(text, most, keep_end=keep_end)
    kept = short.removeprefix("… ").removesuffix(" …")
    assert kept in text
    assert len(kept) <= max(most, 0)


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100.00"), (0.99999, "99.99"), (0.7708333, "77.08"), (0.29, "29.00"), (0.0, "0.00")],
)
def test_a_share_is_rounded_down(share, said):
    assert share_words(share) == said
