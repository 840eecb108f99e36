"""The models and rows of the calibration benchmark, made once into a folder."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import onnxq
from onnxq.datasets.values import DataRequest, PreprocessSpec, StoredRows
from onnxq.events import tell_nobody
from onnxq.graph.model_files import read_model
from onnxq.models import OnnxModel
from onnxq.preparation import prepare
from onnxq.stages import LoadRowsRequest, NoDataRequest, PrepareRequest

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("ONNXQ_SHARED", ROOT.parent / "shared")).resolve()
NETS = ROOT / "scripts" / "bench" / "nets.py"
HELD_OUT_ROWS = 16
_TOKENS = 128
_VOCABULARY = 30522

DEEPCOMP = SHARED / "models" / "pytorch_squeezenet_deepcomp"
SQUEEZENET_WEIGHTS = DEEPCOMP / "squeezenet1_0_deepcomp_torchvision_names.pth"
PHOTOS = SHARED / "data" / "imagenet500_even_256"
PHOTOS_AS = PreprocessSpec(order="bgr", crop=227, scale=1.0, mean=(104.0, 117.0, 123.0))


@dataclass(frozen=True)
class Subject:
    """A prepared model with its rows on disk.

    Attributes:
        name: For a person.
        model: The prepared model.
        rows: To calibrate on.
        held_out: Rows that are not calibrated on, to judge ranges with.
    """

    name: str
    model: OnnxModel
    rows: StoredRows
    held_out: Mapping[str, NDArray[np.generic]]


def make_subject(name: str, folder: Path, rows: int) -> Subject:
    """Make a subject; what lies in the folder from before is taken as it is.

    Args:
        name: ``resnet18``, ``mobilenetv2``, ``squeezenet`` or ``bert``.
        folder: Where its files lie.
        rows: To calibrate on; the same first ones whatever the number.

    Returns:
        The subject.
    """
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    model = _prepared(name, home)
    stored = home / f"rows-{rows}"
    if not (stored / "names.json").exists():
        stored.mkdir(exist_ok=True)
        arrays = _photos(model, home, rows) if name == "squeezenet" else _random(name, rows)
        _store(arrays, stored)
    return Subject(name, model, _stored(stored), _held_out(stored))


def _prepared(name: str, home: Path) -> OnnxModel:
    prepared = home / "prepared"
    if not prepared.exists():
        converted = home / "converted.onnx"
        if not converted.exists():
            _convert(name, converted)
        partial = home / "partial"
        partial.mkdir(exist_ok=True)
        prepare(PrepareRequest(model=read_model(converted)), partial, tell_nobody)
        partial.rename(prepared)
    return read_model(next(prepared.glob("*.onnx")))


def _convert(name: str, destination: Path) -> None:
    image = ("image:Nx3x224x224",)
    tokens = f"Nx{_TOKENS}:int64"
    sources: dict[str, tuple[str, str, tuple[str, ...]]] = {
        "resnet18": (f"{NETS}:resnet18", "", image),
        "mobilenetv2": (f"{NETS}:mobilenet_v2", "", image),
        "squeezenet": (
            f"{ROOT}/scripts/acceptance/nets.py:squeezenet1_0",
            str(SQUEEZENET_WEIGHTS),
            ("image:Nx3x227x227",),
        ),
        "bert": (
            f"{NETS}:bert_small",
            "",
            (f"input_ids:{tokens}:0..{_VOCABULARY - 1}", f"attention_mask:{tokens}:0..1"),
        ),
    }
    source, weights, inputs = sources[name]
    onnxq.convert(source, weights=weights, input=inputs, out=str(destination))


def _random(name: str, rows: int) -> dict[str, NDArray[np.generic]]:
    generator = np.random.default_rng(0)
    count = HELD_OUT_ROWS + rows
    if name != "bert":
        shape = (count, 3, 224, 224)
        return {"image": generator.standard_normal(shape, np.float32)}
    lengths = generator.integers(_TOKENS // 4, _TOKENS + 1, count)
    mask = np.arange(_TOKENS) < lengths[:, np.newaxis]
    ids = generator.integers(1000, _VOCABULARY, (count, _TOKENS))
    return {
        "input_ids": np.where(mask, ids, 0).astype(np.int64),
        "attention_mask": mask.astype(np.int64),
    }


def _photos(model: OnnxModel, home: Path, rows: int) -> dict[str, NDArray[np.generic]]:
    """Load the photos; where more rows are wanted than there are, they begin again, mirrored.

    Of the held-out ones, which come first, no mirror image is calibrated on.
    """
    from onnxq.datasets.loading import load_rows  # noqa: PLC0415 - loads the image door

    loaded = home / "photos"
    loaded.mkdir(exist_ok=True)
    request = LoadRowsRequest(
        data=DataRequest(spec=str(PHOTOS), preprocess=PHOTOS_AS),
        calibration=NoDataRequest(),
        signature=model.signature,
        declared=(),
        split=False,
        judge=False,
    )
    calibration = load_rows(request, loaded, tell_nobody).calibration
    if not hasattr(calibration, "rows"):
        raise FileNotFoundError(PHOTOS)
    ((name, path),) = calibration.rows.inputs.items()
    photos = np.random.default_rng(0).permutation(np.load(path))
    mirrored = photos[HELD_OUT_ROWS:, :, :, ::-1]
    return {name: np.concatenate([photos, mirrored])[: HELD_OUT_ROWS + rows]}


def _store(arrays: Mapping[str, NDArray[np.generic]], folder: Path) -> None:
    count = len(next(iter(arrays.values()))) - HELD_OUT_ROWS
    for name, array in arrays.items():
        np.save(folder / f"{name}.held.npy", array[:HELD_OUT_ROWS])
        np.save(folder / f"{name}.npy", array[HELD_OUT_ROWS:])
    names = [f"row {row}" for row in range(count)]
    (folder / "names.json").write_text(json.dumps(names), encoding="utf-8")


def _stored(folder: Path) -> StoredRows:
    names = folder / "names.json"
    count = len(json.loads(names.read_text(encoding="utf-8")))
    paths = [path for path in folder.glob("*.npy") if not path.name.endswith(".held.npy")]
    return StoredRows(
        inputs={path.stem: str(path) for path in paths},
        count_rows=count,
        labels="",
        row_names=str(names),
    )


def _held_out(folder: Path) -> dict[str, NDArray[np.generic]]:
    return {
        path.name.removesuffix(".held.npy"): np.load(path) for path in folder.glob("*.held.npy")
    }
