"""A model is run on rows, to see whether its sums of two products would saturate."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnx import ModelProto, TensorProto, helper

from onnxq.arrays import Array
from onnxq.findings import Finding
from onnxq.graph.edits import copy_of
from onnxq.graph.model_files import write_proto
from onnxq.quantization.saturation import (
    Saturation,
    describe_saturation,
    find_products,
    observe_saturation,
)
from onnxq.runtime import open_predict


def look_for_saturation(
    proto: ModelProto, feeds: Mapping[str, Array], folder: Path
) -> tuple[Finding, ...]:
    """Say whether sums of a model can saturate without VNNI, and whether these rows see it.

    Args:
        proto: A quantized model; not changed.
        feeds: Inputs of one inference.
        folder: Takes a model whose integer activations are outputs, for as long as it is run.

    Returns:
        OQ409 where some weights allow it; none where none do, and nothing is run then.
    """
    risky = [one for one in find_products(proto) if len(one.overflowing)]
    if not risky:
        return ()
    values = _activations(proto, [one.activation for one in risky], feeds, folder)
    observed: list[Saturation] = [observe_saturation(one, values[one.activation]) for one in risky]
    rows = max((len(array) for array in feeds.values() if array.ndim), default=1)
    return describe_saturation(risky, observed, rows)


def _activations(
    proto: ModelProto, names: Sequence[str], feeds: Mapping[str, Array], folder: Path
) -> dict[str, Array]:
    """Run a model without optimization, and return the values of some uint8 tensors."""
    exposed = copy_of(proto)
    outputs = {value.name for value in exposed.graph.output}
    inputs = {value.name for value in exposed.graph.input}
    exposed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.UINT8, None)
        for name in dict.fromkeys(names)
        if name not in outputs | inputs
    )
    path = folder / "exposed.onnx"
    write_proto(exposed, path)
    try:
        return {**feeds, **open_predict(path, optimize=False)(dict(feeds))}
    finally:
        path.unlink()
