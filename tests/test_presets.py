from typing import get_args

import pytest

from onnxq.presets import FAMILIES, PRESETS, describe_families, describe_tuning
from onnxq.targets import TARGETS, TargetName
from onnxq.tunings import USUAL, Tuning


def test_every_target_has_a_preset_and_a_meaning():
    names = set(get_args(TargetName))
    assert set(PRESETS) == names == set(TARGETS)
    assert all(target.name == name for name, target in TARGETS.items())


@pytest.mark.parametrize("name", get_args(TargetName))
def test_a_preset_is_told_with_its_reason(name):
    told = describe_tuning(Tuning(target=name), "x86-vnni")
    preset = PRESETS[name]
    assert preset.choice in told
    assert preset.why in told
    assert f"{preset.activations} activations" in preset.choice
    assert ("this machine's" in told) == (name == "x86-vnni")
    assert not told.endswith(".")


def test_rewrites_are_told_where_they_were_asked_for():
    told = describe_tuning(Tuning(skipped=("a", "b"), added=("c",)), "x86-vnni")
    assert told.endswith("without a, b; with c")
    assert "without" not in describe_tuning(USUAL, "x86-vnni")


def test_families_are_told():
    told = describe_families()
    assert all(f"{family}: {choice}" in told for family, choice in FAMILIES.items())
