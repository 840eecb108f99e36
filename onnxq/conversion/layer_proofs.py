"""The proof of an integer export layer by layer, each fed what the source computed before it.

From input to output, two right programs in integers drift apart: kernels round a half differently,
steps add up, a softmax multiplies them, so that a bound on the outputs has to be loose. Fed the
source's own integers, each layer is apart by the rounding of one layer, and a wrong weight, axis
or scale shows where it is.
"""

import tempfile
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxq.arrays import Array
from onnxq.errors import ParityError
from onnxq.graph.edits import copy_of, initializers_of
from onnxq.graph.model_files import load_proto
from onnxq.runtime import open_session, session_options

MOST_STEPS = 2
"""How far an integer may be from the source's: one is measured, on TFLite's kernels of either set
and three networks of 10 to 30 layers; a scale that is 10 % wrong moves what is 20 steps from the
zero point by more."""

_FED = "{}/fed"
_HINT = (
    "The file is not the model that you gave. Look at it all the same with --no-check (and please "
    "report it), or give onnxq the float model."
)


def check_layers(path: Path, inputs: Mapping[str, Array], layers: Mapping[str, Array]) -> int:
    """Compare the integers inside an export with those of its source: weights and activations.

    The graph is run as it is written: what onnxruntime makes of it is measured elsewhere, and
    would depend on the processor.

    Args:
        path: The export.
        inputs: An array by each input's name.
        layers: What the source stores, and computes on the inputs: integers by the names of
            tensors. Their axes may stand in another order in the export.

    Returns:
        How many activations were compared.

    Raises:
        ParityError: If a weight is another, or an activation is further away than
            :data:`MOST_STEPS` (OQ152).
        InferenceError: If onnxruntime cannot run the graph.
    """
    proto = load_proto(path)
    constants = initializers_of(proto.graph)
    _check_stored(constants, layers)
    tapped = {
        node.output[0]: constants[node.input[2]].data_type
        for node in proto.graph.node
        if node.op_type == "QuantizeLinear"
        and node.output[0] in layers
        and node.input[2:]
        and node.input[2] in constants
    }
    free = _run(_tapped(proto, tapped), inputs, path.parent)
    laid_out = {name: _laid_out(layers[name], free[name]) for name in tapped}
    expected = {name: ways[0] for name, ways in laid_out.items() if ways}
    cut = _cut(proto, {name: tapped[name] for name in expected})
    read = {value.name for value in cut.graph.input}
    fed = {_FED.format(name): array for name, array in expected.items()}
    fed = {name: array for name, array in fed.items() if name in read}
    found = _run(cut, {**inputs, **fed}, path.parent)
    for name, array in expected.items():
        _check_layer(name, array, found[name])
    return len(expected)


def _check_stored(constants: Mapping[str, TensorProto], layers: Mapping[str, Array]) -> None:
    for name in constants.keys() & layers.keys():
        found, expected = numpy_helper.to_array(constants[name]), layers[name]
        orders = (expected.transpose(axes).ravel() for axes in permutations(range(expected.ndim)))
        if not any(np.array_equal(order, found.ravel()) for order in orders):
            message = f"The integers of the weight {name!r} in the export are not the source's."
            raise ParityError(message, code="OQ152", hint=_HINT)


def _check_layer(name: str, expected: Array, found: Array) -> None:
    steps = np.abs(found.astype(np.int64) - expected.astype(np.int64))
    if steps.max(initial=0) > MOST_STEPS:
        share = float((steps > MOST_STEPS).mean())
        message = (
            f"The integers of {name!r} in the export are up to {steps.max()} steps from the "
            f"source's, {share:.0%} of them more than {MOST_STEPS}, though it was fed what the "
            "source computes before it."
        )
        raise ParityError(message, code="OQ152", hint=_HINT)


def _tapped(proto: ModelProto, tensors: Mapping[str, int]) -> ModelProto:
    """Return a model that also gives some of its tensors, by name to their element type."""
    tapped = copy_of(proto)
    given = {value.name for value in tapped.graph.output}
    tapped.graph.output.extend(
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in tensors.items()
        if name not in given
    )
    return tapped


def _cut(proto: ModelProto, tensors: Mapping[str, int]) -> ModelProto:
    """Return a model that gives some of its tensors, and reads others in their place."""
    cut = _tapped(proto, tensors)
    read: set[str] = set()
    for node in cut.graph.node:
        read |= tensors.keys() & set(node.input)
        node.input[:] = [_FED.format(name) if name in tensors else name for name in node.input]
    cut.graph.input.extend(
        helper.make_tensor_value_info(_FED.format(name), tensors[name], None)
        for name in tensors
        if name in read
    )
    return cut


def _run(proto: ModelProto, inputs: Mapping[str, Array], folder: Path) -> dict[str, Array]:
    names = [value.name for value in proto.graph.output]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / "layers.onnx"
        path.write_bytes(proto.SerializeToString())
        session = open_session(path, session_options(optimize=False))
    return dict(zip(names, map(np.asarray, session.run(names, dict(inputs))), strict=True))


def _laid_out(array: Array, like: Array) -> list[Array]:
    """Return an array in the layouts that have the shape of another, the nearest in value first."""
    ways = [array, np.moveaxis(array, -1, 1)] if array.ndim > 2 else [array]  # noqa: PLR2004 - rows, channels
    fitting = [np.ascontiguousarray(way) for way in ways if way.shape == like.shape]
    return sorted(fitting, key=lambda way: float(np.abs(way - like.astype(np.float64)).mean()))
