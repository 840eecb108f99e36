import importlib
import inspect

import msgspec
import pytest

from onnxq.reports import Report
from onnxq.stages import CONVERSATIONS, STAGES


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_request_and_result_travel_as_json(stage):
    for kind in (stage.request, stage.result):
        assert msgspec.json.Decoder(kind)
        assert msgspec.json.schema(kind)


@pytest.mark.parametrize("kind", CONVERSATIONS, ids=lambda kind: kind.name)
def test_questions_and_answers_travel_as_json(kind):
    for one in (kind.request, kind.question, kind.answer):
        assert msgspec.json.Decoder(one)


def test_report_travels_as_json():
    assert msgspec.json.schema(Report)


@pytest.mark.parametrize("stage", [*STAGES, *CONVERSATIONS], ids=lambda stage: stage.name)
def test_target_exists_in_its_module(stage):
    module, name = stage.target.split(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    source = inspect.cleandoc(spec.loader.get_source(module))
    assert f"def {name}(" in source


def test_names_are_unique():
    names = [stage.name for stage in (*STAGES, *CONVERSATIONS)]
    assert len(set(names)) == len(names)
