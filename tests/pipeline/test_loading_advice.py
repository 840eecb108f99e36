"""A quantized model that does not load may be mended."""

import pytest

from onnxq.errors import InferenceError, ModelLoadError
from onnxq.pipeline.loading_advice import advising_repair


@pytest.mark.parametrize(
    ("kind", "quantized", "hint"),
    [
        (ModelLoadError, "static", "It may be mended:  onnxq repair 'a b.onnx'"),
        (ModelLoadError, "", "Check the file."),
        (InferenceError, "static", "Check the file."),
    ],
)
def test_the_hint(kind, quantized, hint):
    error = kind("it failed.", code="OQ173", hint="Check the file.")
    with pytest.raises(kind) as caught, advising_repair("a b.onnx", quantized):
        raise error
    assert caught.value.hint == hint
