"""The names of providers, and where the missing ones come from."""

import pytest

from onnxq.errors import UsageError
from onnxq.providers import PROVIDERS, parse_provider, why_missing


@pytest.mark.parametrize("name", PROVIDERS)
def test_names_are_taken_in_any_case(name):
    assert parse_provider(name) == parse_provider(name.upper()) == name


@pytest.mark.parametrize(
    ("typed", "meant"), [("openvno", "openvino"), ("onednn", "dnnl"), ("cuda", "")]
)
def test_unknown_name_gets_its_near_miss(typed, meant):
    with pytest.raises(UsageError) as caught:
        parse_provider(typed)
    assert (f"Did you mean {meant!r}?" in caught.value.hint) == bool(meant)
    assert all(name in caught.value.hint for name in PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_missing_provider_is_one_line(name):
    assert "\n" not in why_missing(name)


def test_missing_openvino_names_its_wheel():
    assert "pip install onnxruntime-openvino" in why_missing("openvino")


@pytest.mark.parametrize("name", ["dnnl", "xnnpack"])
def test_providers_without_a_wheel_name_their_build_flag(name):
    assert f"--use_{name}" in why_missing(name)
