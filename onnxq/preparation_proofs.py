"""What proves a step of the preparation: the model computes the same on random inputs after it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto

from onnxq.arrays import Array
from onnxq.errors import InferenceError
from onnxq.findings import Finding
from onnxq.graph.probes import make_probes, probe_shapes
from onnxq.models import OnnxModel
from onnxq.runtime import open_predict
from onnxq.tensors import Signature

_RELATIVE = 1e-4
_ABSOLUTE = 1e-6
_GROWTH = 2.5
_GROWTH_BYTES = 1 << 20


@dataclass(frozen=True)
class Reference:
    """What the model computed before anything was done to it.

    Attributes:
        signature: Its inputs and outputs.
        probes: Inputs.
        outputs: Its outputs for each.
        file_bytes: Of its files.
    """

    signature: Signature
    probes: tuple[dict[str, Array], ...]
    outputs: tuple[dict[str, Array], ...]
    file_bytes: int


def run_reference(model: OnnxModel) -> tuple[Reference, list[Finding]]:
    """Find probes that the model runs on, and run them without any optimization.

    Args:
        model: Before anything is done to it.

    Returns:
        What it computed, and OQ115 where it ran on no probe.

    Raises:
        InferenceError: If onnxruntime cannot load it.
    """
    path, signature = model.path, model.signature
    file_bytes = sum(Path(name).stat().st_size for name in (path, *model.side_files))
    predict = open_predict(path, optimize=False)
    failure = ""
    for shape in probe_shapes(signature):
        probes = make_probes(signature, shape)
        try:
            outputs = tuple(predict(probe) for probe in probes)
        except InferenceError as error:
            failure = error.message
        else:
            return Reference(signature, tuple(probes), outputs, file_bytes), []
    finding = Finding(
        code="OQ115",
        subject=Path(path).name,
        message="Clean-up steps were left out, because the model ran on no random inputs.",
        evidence={"error": failure},
        fix="Fix the free axes of the inputs with --input NAME:SHAPE.",
        severity="warning",
    )
    return Reference(signature, (), (), file_bytes), [finding]


def find_difference(after: ModelProto, reference: Reference, path: Path) -> str:
    """Say in what a result is not what it should be.

    Args:
        after: The model after some steps.
        reference: What it computed before.
        path: Where it is written for the time of the proof.

    Returns:
        The first difference; empty if there is none.
    """
    # ByteSize, of protobuf's upb, takes as long as serializing.
    written = after.SerializeToString()
    if len(written) > _GROWTH * reference.file_bytes + _GROWTH_BYTES:
        return f"it made {len(written)} of {reference.file_bytes} bytes"
    path.write_bytes(written)
    try:
        predict = open_predict(path, optimize=False)
        for probe, expected in zip(reference.probes, reference.outputs, strict=True):
            why = _first_difference(predict(probe), expected)
            if why:
                return why
    except InferenceError as error:
        return error.message
    finally:
        path.unlink()
    return ""


def _first_difference(found: dict[str, Array], expected: dict[str, Array]) -> str:
    for name, reference in expected.items():
        if name not in found:
            return f"output {name!r} is gone"
        array = found[name]
        if array.shape != reference.shape or array.dtype != reference.dtype:
            return f"output {name!r} became {array.dtype}{list(array.shape)}"
        if reference.dtype.kind != "f":
            if not np.array_equal(array, reference):
                return f"output {name!r} changed"
            continue
        finite = np.abs(reference[np.isfinite(reference)])
        limit = _RELATIVE * float(finite.max(initial=0.0)) + _ABSOLUTE
        if not np.allclose(array, reference, rtol=0.0, atol=limit, equal_nan=True):
            return f"output {name!r} moved by more than {limit:.1e}"
    return ""
