"""A prepared model is quantized by any recipe; stages are stood in for."""

from onnxq.findings import Finding
from onnxq.measurements import Size
from onnxq.models import OnnxModel
from onnxq.pipeline.blanks import Blank
from onnxq.pipeline.plans import Order
from onnxq.recipe_kinds import ALIASES
from onnxq.stages import QUANTIZE, GateResult, QuantizeResult
from onnxq.tensors import Signature
from onnxq.tunings import USUAL

MODEL = OnnxModel(
    path="m.onnx",
    signature=Signature(inputs=(), outputs=()),
    opset=17,
    ir_version=8,
    operators={},
    quantized_nodes=0,
    sha256="",
)
SAID = Finding(code="OQ116", subject="spread gates", message="a: it changed.")
OTHER = Finding(code="OQ145", subject="tensor", message="It is constant.")


class Bench:
    def run(self, stage, _request, _title):
        if stage is not QUANTIZE:
            return GateResult(gates=())
        return QuantizeResult(
            model=MODEL,
            size=Size(file_bytes=1, initializer_bytes={}),
            quantized_nodes=1,
            quantizable_nodes=1,
            left_float={},
            findings=(SAID, OTHER),
        )


def test_what_a_rewrite_did_is_told_of_the_recipe():
    blank = Blank(Bench(), MODEL, {}, {}, USUAL)
    told, other = blank.quantize("int8", Order(recipe=ALIASES["int8"])).findings
    assert (told.code, told.subject, told.message) == ("OQ116", "int8", "a: it changed.")
    assert told.evidence == {"rewrite": "spread gates"}
    assert other == OTHER
