"""Activations of a model are made readable, some at a time, and bit for bit the same each time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from onnxq.arrays import Predict
from onnxq.calibration.blocked_layout import renaming, write_optimized
from onnxq.calibration.collecting import OpenExposed
from onnxq.errors import InferenceError
from onnxq.graph.pruning import prune_to
from onnxq.runtime import open_predict


@contextmanager
def expose(proto: onnx.ModelProto, folder: Path, tensors: Sequence[str]) -> Iterator[OpenExposed]:
    """Make activations of a model readable.

    Which operators onnxruntime fuses depends on what is watched, and a fused one may round
    otherwise. So it optimizes the model once, as if all were watched, and what some of them need
    is cut out of the result: they are the same whatever is watched with them. A model that it
    cannot write optimized is not optimized at all.

    Args:
        proto: A model below 2 GB.
        folder: Where copies of the model lie in the meantime.
        tensors: Names of all activations that may be asked for; inputs are passed over.

    Yields:
        A function that loads the part of the model that makes some of them, for one-thread runs
        from several threads. It returns these and nothing else; each has its shape and its
        values, but those of a row may come in another order
        (:mod:`onnxq.calibration.blocked_layout`). It raises ``InferenceError`` if onnxruntime
        cannot load the model.
    """
    with TemporaryDirectory(dir=folder, prefix="exposed-") as place:
        plain, optimized = Path(place, "plain.onnx"), Path(place, "optimized.onnx")
        write_exposed(proto, tuple(tensors), plain)
        try:
            names = write_optimized(plain, optimized)
        except InferenceError:
            optimized, names = plain, {}  # if it was the model itself, that is told on loading
        else:
            plain.unlink()
        yield partial(_open_part, optimized, names)


def write_exposed(proto: onnx.ModelProto, tensors: tuple[str, ...], path: Path) -> None:
    """Write a copy of a model that also returns some of its activations.

    onnxruntime finds out types and shapes of outputs that have none, so no shape inference is
    needed; its graph optimizations stay possible everywhere else.

    Args:
        proto: A model below 2 GB; is the same again afterwards.
        tensors: Names of activations; graph inputs and outputs are not added.
        path: Where to.
    """
    visible = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    outputs = len(proto.graph.output)
    proto.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in tensors if name not in visible
    )
    try:
        path.write_bytes(proto.SerializeToString())
    finally:  # not in a copy: weights are most of the memory
        del proto.graph.output[outputs:]


def _open_part(optimized: Path, names: Mapping[str, str], tensors: Sequence[str]) -> Predict:
    new_names = {former: name for name, former in names.items()}
    whole = onnx.load(optimized, load_external_data=False)
    part = prune_to(whole, [new_names.get(name, name) for name in tensors])
    path = optimized.with_name("part.onnx")  # beside the weights
    path.write_bytes(part.SerializeToString())
    predict = open_predict(path, optimize=False, memory_pattern=False, title="the model")
    return renaming(predict, names)
