"""Write ONNX files of the matrix: old opsets, external data, local functions, float16, QDQ.

Usage: python scripts/acceptance/make_onnx_sources.py FOLDER
It starts from what make_torch_sources.py wrote there.
"""

import copy
import sys
from pathlib import Path

import numpy as np
import old_onnx_nets
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from source_models import Model, Tensor
from source_oracles import write_oracle

OLD = Model(
    key="old",
    factory="",
    inputs=(Tensor(name="image", shape=(3, 12, 12), least=-1.0),),
    outputs=("scores",),
)
_DOMAIN = "acceptance"


def main() -> None:
    """Write all of them into the folder that is named."""
    onnxruntime.set_default_logger_severity(3)
    folder = Path(sys.argv[1])
    write_old(folder)
    model = onnx.load(folder / "resnet20.opset17.onnx")
    write_external(model, folder)
    onnx.save(with_functions(model), folder / "resnet20.functions.onnx")
    for name, keeps in (("float16", False), ("float16_inside", True)):
        half = convert_float_to_float16(copy.deepcopy(model), keep_io_types=keeps)
        onnx.save(half, folder / f"resnet20.{name}.onnx")
    write_quantized(folder)
    print("made ONNX files", flush=True)


def write_old(folder: Path) -> None:
    """Write the network of opsets 7 to 12; its oracle is numpy's."""
    for opset in old_onnx_nets.OPSETS:
        model = old_onnx_nets.make(opset)
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"old.opset{opset}.onnx")
    # Not ONNX's reference implementation: below opset 14, that of onnx 1.23.2 trains in
    # BatchNormalization, and cannot do Resize-10.
    write_oracle(
        OLD, folder, lambda rows: [old_onnx_nets.compute(rows["image"].astype(np.float32))]
    )


def write_external(model: onnx.ModelProto, folder: Path) -> None:
    """Write a model whose weights lie in a file of their own, beside it."""
    beside = folder / "external"
    beside.mkdir(exist_ok=True)
    for file in beside.iterdir():
        file.unlink()  # onnx appends to external data that is there already
    onnx.save(
        copy.deepcopy(model),
        beside / "resnet20.onnx",
        save_as_external_data=True,
        location="resnet20.weights",
        size_threshold=0,
    )


def with_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Hide every Relu of a model in a local function that calls another one."""
    made = copy.deepcopy(model)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(_DOMAIN, 1)]
    inner = helper.make_node("Relu", ["x"], ["y"])
    outer = helper.make_node("Inner", ["x"], ["y"], domain=_DOMAIN)
    made.functions.extend([
        helper.make_function(_DOMAIN, "Inner", ["x"], ["y"], [inner], imports),
        helper.make_function(_DOMAIN, "Rectify", ["x"], ["y"], [outer], imports),
    ])  # fmt: skip
    made.opset_import.append(imports[-1])
    for node in made.graph.node:
        if node.op_type == "Relu":
            node.op_type, node.domain = "Rectify", _DOMAIN
    return made


class _Rows(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    def __init__(self) -> None:
        generator = np.random.default_rng(5)
        rows = generator.uniform(-2, 2, (8, 4, 3, 32, 32)).astype(np.float32)
        self._batches = iter({"image": batch} for batch in rows)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


def write_quantized(folder: Path) -> None:
    """Quantize by onnxruntime alone, activations in int8 as its default has it."""
    quantize_static(
        folder / "resnet20.opset17.onnx",
        folder / "resnet20.qdq.onnx",
        _Rows(),
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


if __name__ == "__main__":
    main()
