"""Structural gates: what must hold in a quantized graph, whatever the quantizer returned.

onnxruntime 1.31.1's quantizers return without an error after writing models that do not load,
scales that are not finite, and models in which nothing is quantized.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from msgspec.structs import replace
from onnx import ModelProto, TensorProto

from onnxq.errors import QuantizationError
from onnxq.graph.cleaning import is_sorted
from onnxq.graph.edits import walk_graphs
from onnxq.graph.model_files import read_signature
from onnxq.graph.nodes import walk_nodes
from onnxq.graph.quantized_tensors import list_quantized
from onnxq.integer_tensors import IntegerTensor
from onnxq.tensors import TensorSpec

_HINT = "Leave this recipe out with -r, and report the model to onnxq: it should not happen."


def check_structure(
    proto: ModelProto, original: ModelProto, io: Sequence[IntegerTensor] = ()
) -> None:
    """Check what can be seen without running a quantized model.

    Names of nodes, initializers and tensors are unique; nodes are sorted; every scale is finite
    and above zero; at least one weight is quantized, or stored as float16; inputs and outputs are
    the original's, but for those that became integer.

    Args:
        proto: The quantized model.
        original: The float model that it was made from.
        io: Inputs and outputs that became integer.

    Raises:
        QuantizationError: OQ172, naming the offender.
    """
    _check_names(proto)
    if not is_sorted(proto.graph):
        _refuse("its nodes are not sorted, or read a tensor that nothing writes")
    _check_scales(proto)
    _check_interface(proto, original, {tensor.name: tensor.dtype for tensor in io})


def check_calibrated(proto: ModelProto) -> None:
    """Refuse a static model whose activations have no ranges of their own.

    Args:
        proto: A quantized model. One without quantized activations passes: its recipe needs no
            rows.

    Raises:
        QuantizationError: OQ166 if every activation has the scale that stands for "not yet
            calibrated".
    """
    scales = uncalibrated_scales(proto)
    if scales:
        message = f"the {scales} quantized activations all have a scale of 1: none was calibrated."
        hint = "Calibrate with rows like those in use: --calib, or more rows with --data."
        raise QuantizationError(message, code="OQ166", hint=hint)


def uncalibrated_scales(proto: ModelProto) -> int:
    """Count quantized activations where none of them was calibrated.

    Observers of PyTorch and of other tools begin with a scale of 1; a model that was converted
    before any row was seen has it everywhere.

    Args:
        proto: Any model.

    Returns:
        How many there are, two at least, if all their scales are 1; else 0.
    """
    scales = [t.scales for t in list_quantized(proto) if t.role == "activation" and t.scales.size]
    is_default = all((found == 1.0).all() for found in scales)
    return len(scales) if len(scales) > 1 and is_default else 0


def _check_names(proto: ModelProto) -> None:
    nodes = Counter(node.name for node in walk_nodes(proto.graph) if node.name)
    for graph in walk_graphs(proto.graph):
        written = [tensor.name for tensor in graph.initializer]
        written += [name for node in graph.node for name in node.output if name]
        constants = {tensor.name for tensor in graph.initializer}
        written += [value.name for value in graph.input if value.name not in constants]
        for kind, names in (("node", nodes), ("tensor", Counter(written))):
            twice = next((name for name, count in names.items() if count > 1), "")
            if twice:
                _refuse(f"the {kind} {twice!r} is defined {names[twice]} times")


def _check_scales(proto: ModelProto) -> None:
    quantized = list_quantized(proto)
    is_small = any(t.data_type == TensorProto.FLOAT16 for t in proto.graph.initializer)
    if not is_small and not any(tensor.role == "weight" for tensor in quantized):
        _refuse(f"no weight is quantized, expected at least one of {len(quantized)} tensors")
    for tensor in quantized:
        good = np.isfinite(tensor.scales) & (tensor.scales > 0)
        if not good.all():
            at = int(np.flatnonzero(~good)[0])
            _refuse(
                f"scale {at} of {tensor.name!r} is {float(tensor.scales[at])}, "
                "expected a finite value above 0"
            )


def _check_interface(proto: ModelProto, original: ModelProto, dtypes: dict[str, str]) -> None:
    found, expected = read_signature(proto.graph), read_signature(original.graph)
    for kind, now, before in (
        ("inputs", found.inputs, expected.inputs),
        ("outputs", found.outputs, expected.outputs),
    ):
        wanted = tuple(replace(s, dtype=dtypes.get(s.name, s.dtype)) for s in before)
        if now != wanted:
            _refuse(f"its {kind} are {_listed(now)}, expected {_listed(wanted)}")


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(map(str, specs)) or "none"


def _refuse(what: str) -> NoReturn:
    message = f"the quantized model cannot be believed: {what}."
    raise QuantizationError(message, code="OQ172", hint=_HINT)
