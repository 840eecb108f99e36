"""Show how each tensor of an int8 ResNet-20 is quantized, and check the errors of its weights.

Usage: python scripts/acceptance/inspect_weights.py FOLDER
``onnxq inspect`` computes the mean absolute quantization error of each weight; here it is computed
again, from the integers in the file. Exit code 1 where they differ, or where a weight has none.
"""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from source_models import ROOT, SHARED

from onnxq.reports import Measured, report_from_json
from onnxq.stages import InspectResult, QuantizedTensor, WeightError

CIFAR = "scale=255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"
HEADINGS = ("tensor", "role", "dtype", "scheme", "axis", "scales", "scale", "zero point",
            "mean abs error")  # fmt: skip
WIDTHS = (34, 10, 5, 10, 4, 6, 21, 10, 0)
_TOLERANCE = 1e-5


def main() -> int:
    """Print a row a tensor; 1 if a weight's error is missing or wrong."""
    folder = Path(sys.argv[1]) / "resnet20"
    weights = str(SHARED / "models/pytorch_cifar_resnet/resnet20-12fca82f.th")
    data = str(SHARED / "data/cifar10_lossless_train4000.npz")
    model = ("scripts/acceptance/nets.py:resnet20", "--weights", weights)
    options = ("--data", data, "--preprocess", CIFAR, "-r", "int8", "--limit", "1000")
    told = onnxq("run", *model, *options, "--seconds", "1", "--threads", "1", "-o", str(folder))
    files = {
        row.alias: folder / row.artefact.file
        for row in report_from_json(told, origin="run").variants
        if isinstance(row, Measured)
    }
    told = onnxq("inspect", str(files["int8"]), "--reference", str(files["fp32"]))
    found = msgspec.json.decode(told, type=InspectResult)
    print(line(HEADINGS))
    recomputed = weight_errors(files["int8"], files["fp32"], found.quantized)
    wrong = [tensor.name for tensor in found.quantized if not show(tensor, recomputed)]
    counted = [tensor for tensor in found.quantized if tensor.role == "weight"]
    print(f"{len(found.quantized)} tensors, {len(counted)} weights; wrong: {wrong or 'none'}")
    return int(bool(wrong) or not counted)


def onnxq(*words: str) -> bytes:
    """Run a verb; its document."""
    command = [sys.executable, "-m", "onnxq", *words, "--json", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(done.stdout.decode() + done.stderr.decode())
    return done.stdout


def show(tensor: QuantizedTensor, recomputed: dict[str, float]) -> bool:
    """Print one tensor; False if it is a weight whose error is missing or wrong."""
    error = tensor.error
    told = f"{error.mean_abs_error:.3e}" if isinstance(error, WeightError) else "-"
    print(
        line((
            tensor.name,
            tensor.role,
            tensor.dtype,
            tensor.scheme,
            str(tensor.axis) if tensor.axis >= 0 else "-",
            str(tensor.scales),
            span(f"{tensor.scale_min:.3e}", f"{tensor.scale_max:.3e}"),
            span(str(tensor.zero_point_min), str(tensor.zero_point_max)),
            told,
        ))
    )  # fmt: skip
    if tensor.role != "weight":
        return True
    if not isinstance(error, WeightError) or tensor.name not in recomputed:
        return False
    again = recomputed[tensor.name]
    return abs(error.mean_abs_error - again) <= _TOLERANCE * again


def line(words: tuple[str, ...]) -> str:
    """Lay out one line of the table."""
    return "  ".join(w.ljust(width) for w, width in zip(words, WIDTHS, strict=True)).rstrip()


def span(low: str, high: str) -> str:
    """Render two ends, or one where they are alike."""
    return low if low == high else f"{low}..{high}"


def weight_errors(
    quantized: Path, reference: Path, tensors: tuple[QuantizedTensor, ...]
) -> dict[str, float]:
    """Compute mean absolute errors again, by the formula of DequantizeLinear.

    Args:
        quantized: The int8 file.
        reference: The float file.
        tensors: What inspect said: it names the float weight of each.

    Returns:
        By name of the quantized tensor.
    """
    originals = {
        tensor.name: tensor.error.original
        for tensor in tensors
        if isinstance(tensor.error, WeightError)
    }
    model = onnx.load(quantized)
    integers, floats = initializers(model), initializers(onnx.load(reference))
    found = {}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in integers:
            continue
        name = node.input[0].removesuffix("_quantized")  # as onnxruntime names it
        if name not in originals:
            continue
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        values, scale, point = (integers[name].astype(np.float64) for name in node.input)
        shape = [-1 if i == axis else 1 for i in range(values.ndim)] if scale.ndim else []
        decoded = (values - point.reshape(shape)) * scale.reshape(shape)
        found[name] = float(np.abs(decoded - floats[originals[name]].astype(np.float64)).mean())
    return found


def initializers(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """Read every initializer of a model."""
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


if __name__ == "__main__":
    sys.exit(main())
