"""The cells of the matrix of sources: what is given to ``onnxq convert``, and what must come."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from source_models import KERAS_MODELS, SHARED, TORCH_MODELS, Model

FLOAT32_LIMIT, FLOAT16_LIMIT, INT8_LIMIT = 1e-4, 1e-2, 0.2
"""Largest relative L2 from the oracle, by what the source computes in."""

KERAS_2 = (
    ("resnet8", "keras2_tinymlperf/pretrainedResnet.h5", "resnet8"),
    ("vww", "keras2_tinymlperf/vww_96.h5", "vww"),
    ("ad01", "keras2_tinymlperf/ad01.h5", "ad01"),
    ("mini_xception", "keras2_face/fer2013_mini_XCEPTION.119-0.65.hdf5", "miniX"),
)
"""Name, file and key in keras2_reference_io.npz, which Keras 2 itself computed."""

TWINS = (
    ("resnet8", "pretrainedResnet_quant.tflite"),
    ("vww", "vww_96_int8.tflite"),
    ("ad01", "ad01_int8.tflite"),
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One source to convert.

    Attributes:
        model: Its name.
        kind: Of source.
        given: The model and its options, as ``onnxq convert`` takes them; for a live model the
            key of :data:`source_models`.
        is_live: Whether the model is handed over from Python.
        inputs: Names that the ONNX model must have, in order; none where they are others' choice.
        outputs: The same of outputs.
        batch: ``free``, or the size that the source itself fixes.
        oracle: An ``.npz``, and the prefix of its keys where it holds several models' rows.
        limit: Of the relative L2 from the oracle.
        is_quantized: Whether it must be recognised as quantized already.
        refusal: Code of the error that is the right answer; empty where it must be converted.
    """

    model: str
    kind: str
    given: tuple[str, ...]
    is_live: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    batch: str = "free"
    oracle: tuple[Path, str] | None = None
    limit: float = FLOAT32_LIMIT
    is_quantized: bool = False
    refusal: str = ""

    @property
    def label(self) -> str:
        """Model and kind, for messages and patterns."""
        return f"{self.model} {self.kind}"


def cells(folder: Path) -> list[Cell]:
    """List all cells.

    Args:
        folder: Where make_sources.py wrote.

    Returns:
        By framework, then by model.
    """
    return [
        *(cell for model in KERAS_MODELS for cell in _keras(model, folder)),
        *_keras_2(),
        *(cell for model in TORCH_MODELS for cell in _torch(model, folder)),
        *_onnx(folder),
        *_refusals(folder),
    ]


def _cell(model: Model, kind: str, folder: Path, *given: str) -> Cell:
    return Cell(
        model=model.key,
        kind=kind,
        given=given,
        inputs=tuple(tensor.name for tensor in model.inputs),
        outputs=model.outputs,
        oracle=(folder / f"{model.key}.oracle.npz", ""),
    )


def _keras(model: Model, folder: Path) -> Iterator[Cell]:
    stem = folder / model.key
    values = _integer_values(model)
    if model.is_whole:
        yield _cell(model, "factory", folder, model.factory)
        return
    yield _cell(model, ".keras", folder, model.file or f"{stem}.keras", *values)
    yield _cell(model, ".h5", folder, f"{stem}.h5", *values)
    yield _exported(_cell(model, "SavedModel", folder, f"{stem}_saved_model", *values))
    weights = ("--weights", f"{stem}.weights.h5")
    yield _cell(model, "weights.h5 + factory", folder, model.factory, *weights, *values)
    tflite = _cell(model, "TFLite", folder, f"{stem}.tflite", *values)
    yield replace(_exported(tflite), batch=str(model.tflite_rows or "free"))
    yield replace(_cell(model, "live", folder, model.key), is_live=True)


def _integer_values(model: Model) -> tuple[str, ...]:
    """Declare what no file says: which values integers take."""
    integers = [tensor for tensor in model.inputs if tensor.dtype != "float32"]
    return tuple(word for tensor in integers for word in ("--input", tensor.declaration))


def _exported(cell: Cell) -> Cell:
    """Expect the names of Keras' ``export``: the keys of a dict, else ``output_0``.

    TensorFlow keeps no order of them: they are sorted.
    """
    outputs = tuple(sorted(cell.outputs)) if len(cell.outputs) > 1 else ("output_0",)
    return replace(cell, inputs=tuple(sorted(cell.inputs)), outputs=outputs)


def _keras_2() -> Iterator[Cell]:
    oracle = SHARED / "models/keras2_reference_io.npz"
    for name, file, key in KERAS_2:
        given = str(SHARED / "models" / file)
        yield Cell(model=name, kind="Keras 2 .h5", given=(given,), oracle=(oracle, f"{key}_"))
    for name, file in TWINS:
        given = str(SHARED / "models/keras2_tinymlperf" / file)
        yield Cell(
            model=name, kind="TFLite int8", given=(given,), is_quantized=True,
            limit=INT8_LIMIT,
        )  # fmt: skip


def _torch(model: Model, folder: Path) -> Iterator[Cell]:
    stem = folder / model.key
    declared = tuple(word for t in model.inputs for word in ("--input", t.declaration))
    weights = ("--weights", model.file) if model.file else ()
    yield _cell(model, "factory + state dict", folder, model.factory, *weights, *declared)
    if model.is_whole:
        return
    safe = ("--weights", f"{stem}.safetensors")
    yield _cell(model, "factory + safetensors", folder, model.factory, *safe, *declared)
    yield _cell(model, ".pt2", folder, f"{stem}.pt2", "--trust", *_integer_values(model))
    traced = f"{stem}.torchscript.pt"
    yield _cell(model, "TorchScript", folder, traced, "--trust", *declared)
    yield replace(_cell(model, "live", folder, model.key), is_live=True)


def _onnx(folder: Path) -> Iterator[Cell]:
    for size, spelling in (("rfb", "RFB"), ("slim", "slim")):
        yield Cell(
            model=f"ultraface_{size}",
            kind="ONNX opset 9",
            given=(str(SHARED / f"models/ultraface/version-{spelling}-320.onnx"),),
            inputs=("input",),
            outputs=("scores", "boxes"),
            batch="1",
            oracle=(folder / f"ultraface_{size}.oracle.npz", ""),
        )
    for path in sorted(folder.glob("old.opset*.onnx"), key=_opset):
        yield Cell(
            model="old CNN",
            kind=f"ONNX opset {_opset(path)}",
            given=(str(path),),
            inputs=("image",),
            outputs=("scores",),
            oracle=(folder / "old.oracle.npz", ""),
        )
    resnet = next(model for model in TORCH_MODELS if model.key == "resnet20")
    for path in sorted(folder.glob("resnet20.opset*.onnx"), key=_opset):
        yield _cell(resnet, f"ONNX opset {_opset(path)}", folder, str(path))
    yield _cell(resnet, "ONNX external data", folder, str(folder / "external/resnet20.onnx"))
    yield _cell(resnet, "ONNX functions", folder, str(folder / "resnet20.functions.onnx"))
    for name, kind in (("float16", "ONNX float16"), ("float16_inside", "ONNX float16 inside")):
        half = _cell(resnet, kind, folder, str(folder / f"resnet20.{name}.onnx"))
        yield replace(half, limit=FLOAT16_LIMIT)
    quantized = _cell(resnet, "ONNX QDQ int8", folder, str(folder / "resnet20.qdq.onnx"))
    yield replace(quantized, limit=INT8_LIMIT, is_quantized=True)
    mlp = next(model for model in TORCH_MODELS if model.key == "mnist_mlp")
    eager = _cell(mlp, "ONNX of eager int8", folder, str(folder / "mnist_mlp.eager_int8.onnx"))
    yield replace(eager, limit=INT8_LIMIT, is_quantized=True)


def _opset(path: Path) -> int:
    return int(path.name.split("opset")[1].split(".")[0])


def _refusals(folder: Path) -> Iterator[Cell]:
    """List what must be refused, with the code of the right sentence."""
    models = SHARED / "models"
    squeezenet = models / "pytorch_squeezenet_deepcomp"
    for model, kind, given, code in (
        ("mnist_mlp", ".pt2 without --trust", folder / "mnist_mlp.pt2", "OQ109"),
        ("mnist_mlp", "TorchScript untrusted", folder / "mnist_mlp.torchscript.pt", "OQ109"),
        ("mnist_mlp", "state dict alone", folder / "mnist_mlp.pt", "OQ103"),
        ("mnist_mlp", "safetensors alone", folder / "mnist_mlp.safetensors", "OQ103"),
        ("mnist_cnn", "weights.h5 alone", folder / "mnist_cnn.weights.h5", "OQ103"),
        ("resnet20", ".th alone", models / "pytorch_cifar_resnet/resnet20-12fca82f.th", "OQ103"),
        ("squeezenet", "Deep Compression", squeezenet / "compressed_SqueezeNet.net", "OQ102"),
        ("ultraface_rfb", ".pth alone", models / "ultraface/version-RFB-320.pth", "OQ103"),
    ):
        yield Cell(model=model, kind=kind, given=(str(given),), refusal=code)
    resnet = next(model for model in TORCH_MODELS if model.key == "resnet32")
    smaller = next(model for model in TORCH_MODELS if model.key == "resnet20").file
    yield Cell(
        model="resnet32",
        kind="weights of another",
        given=(resnet.factory, "--weights", smaller, "--input", resnet.inputs[0].declaration),
        refusal="OQ107",
    )
    yield Cell(
        model="mnist_mlp",
        kind="no --input",
        given=("models/mnist_mlp_torch/net.py:build",),
        refusal="OQ112",
    )
