"""Every recipe on a tiny network of every family: it runs, it is small, it is near, zeros stay."""

from pathlib import Path

import numpy as np
import pytest

from onnxq.artefact_gates import check_artefact
from onnxq.errors import QuantizationError
from onnxq.events import tell_nobody
from onnxq.graph import load_proto
from onnxq.graph.weight_values import weight_values, zero_share
from onnxq.recipe_kinds import ALIASES, QuantizationScope
from onnxq.runtime import open_predict
from onnxq.stages import GateRequest

RECIPES = [alias for alias in ALIASES if alias != "fp32"]
LEAST_SQNR_DB = {"int4-weights": 14.0, "fp16": 60.0, "int16": 30.0}
LARGEST_WEIGHTS_SHARE = {"int8-weights": 0.36, "int4-weights": 0.34, "fp16": 0.58}


def sqnr_db(reference, found):
    return 10 * np.log10((reference**2).sum() / ((reference - found) ** 2).sum())


@pytest.fixture(params=RECIPES)
def alias(request):
    return request.param


@pytest.fixture
def result(kit, alias):
    return kit.quantize(ALIASES[alias])


def test_it_runs_and_is_near(kit, alias, result):
    rows = kit.rows(seed=1)
    reference = open_predict(kit.model.path)(rows)["y"]
    for optimize in (True, False):
        found = open_predict(result.model.path, optimize=optimize)(rows)["y"]
        assert sqnr_db(reference, found) >= LEAST_SQNR_DB.get(alias, 25.0)


def test_it_passes_its_gates(kit, result):
    folder = kit.new_folder("inputs")
    paths = {}
    for name, values in kit.rows(seed=2, count=3).items():
        np.save(folder / f"{name}.npy", values)
        paths[name] = str(folder / f"{name}.npy")
    request = GateRequest(candidate=result.model, original=kit.model, inputs=paths)
    assert check_artefact(request, folder, tell_nobody).gates[-1] == "runs"


def test_exact_zeros_of_weights_stay_zero(kit, alias, result):
    before = dict(weight_values(load_proto(kit.model.path)))
    after = dict(weight_values(load_proto(result.model.path)))
    assert before.keys() == after.keys()
    for name, values in before.items():
        found = kit.as_original(after[name], values)
        assert not found[values == 0].any(), name
    assert result.zero_share_before == zero_share(load_proto(kit.model.path)) >= 0.09
    assert result.zero_share_after >= result.zero_share_before
    (finding,) = (f for f in result.findings if f.code == "OQ170")
    assert finding.subject == alias


def test_its_bookkeeping_adds_up(kit, result):
    assert 0 < result.quantized_nodes <= result.quantizable_nodes
    assert len(result.left_float) == result.quantizable_nodes - result.quantized_nodes
    assert all(result.left_float.values())
    assert result.model.signature == kit.model.signature
    assert result.io == ()
    errors = kit.weight_errors(result)
    assert len(errors) == len(dict(weight_values(load_proto(kit.model.path))))
    assert any(error > 0 for error in errors.values())


def test_weights_recipes_shrink_the_file(kit, alias, result):
    share = result.size.file_bytes / Path(kit.model.path).stat().st_size
    assert share <= LARGEST_WEIGHTS_SHARE.get(alias, 1.0)


@pytest.mark.parametrize(
    ("alias", "release"),
    [
        ("int8", "1.17"), ("int8-dynamic", "1.17"), ("fp16", "1.17"), ("int16", "1.18"),
        ("int8-weights", "1.23"), ("int4-weights", "1.17"),
    ],
)  # fmt: skip
def test_the_lowest_runtime_is_told(kit_of, alias, release):
    assert kit_of("mlp").quantize(ALIASES[alias]).model.min_runtime == release


@pytest.mark.parametrize("alias", ["int16", "fp16", "int8-weights", "int4-weights"])
def test_what_is_not_about_time_says_so(kit_of, alias):
    findings = kit_of("mlp").quantize(ALIASES[alias]).findings
    assert [f.subject for f in findings if f.code == "OQ168"] == [alias]


@pytest.mark.parametrize("alias", ["int8", "int8-dynamic"])
def test_what_is_about_time_does_not(kit_of, alias):
    assert "OQ168" not in {f.code for f in kit_of("mlp").quantize(ALIASES[alias]).findings}


def test_int8_and_its_aliases_differ_in_ranges_alone(kit_of):
    kit = kit_of("cnn")
    sizes = {a: kit.quantize(ALIASES[a]).size.initializer_bytes for a in RECIPES if "int8" in a}
    assert sizes["int8"] == sizes["int8-minmax"] == sizes["int8-percentile"]


@pytest.mark.parametrize("recipe", [ALIASES["int8-dynamic"], ALIASES["int4-weights"]])
def test_nothing_to_quantize_is_said_with_the_reason(kit_of, recipe):
    scope = QuantizationScope(skip_operators=("Gemm",))
    with pytest.raises(QuantizationError) as caught:
        kit_of("cnn").quantize(recipe, scope)
    assert caught.value.code == "OQ163"
    assert "skip_operator Gemm" in caught.value.message
