"""Datasets of the package ``datasets`` on this disk: which files hold a split.

The package itself is not needed: what ``save_to_disk`` writes and what ``load_dataset`` leaves in
its cache are streams of Arrow with JSON beside them (read of version 5.2). Nothing is fetched.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from onnxq.datasets.specs import HubSpec
from onnxq.datasets.tables import ArrowFiles
from onnxq.errors import DatasetError

_BOTH = 2

_JsonT = TypeVar("_JsonT", bound=Struct)


class _DataFile(Struct):
    filename: str


class _State(Struct):
    """``state.json`` beside a dataset that was saved."""

    data_files: list[_DataFile] = msgspec.field(name="_data_files")
    indices: list[_DataFile] | None = msgspec.field(name="_indices_data_files", default=None)


class _Saved(Struct):
    """``dataset_dict.json`` beside the splits that were saved together."""

    splits: list[str]


class _Split(Struct):
    num_examples: int = 0
    shard_lengths: list[int] | None = None


class _Info(Struct):
    """``dataset_info.json``, as far as it is used."""

    features: dict[str, object] | None = None
    splits: dict[str, _Split] | None = None
    dataset_name: str | None = None
    builder_name: str | None = None


def find_hub_files(spec: HubSpec) -> ArrowFiles:
    """Find the files of a split.

    Args:
        spec: The folder of a dataset that was saved, or where it would lie in the cache; one
            split and, in the cache, one configuration may be named.

    Returns:
        The files.

    Raises:
        DatasetError: OQ127, if there is no such dataset here, or several splits or
            configurations could be meant.
    """
    folder = _existing(Path(spec.dataset))
    if (folder / "dataset_dict.json").is_file():
        known = _read(folder / "dataset_dict.json", _Saved).splits
        split = _choose("split", spec.parts, known, spec)
        return _saved_files(folder / split, f"hf:{folder.name}:{split}")
    if (folder / "state.json").is_file():
        if spec.parts:
            message = f"{folder} holds one split: {spec.parts[0]!r} cannot be chosen from it."
            raise DatasetError(message, code="OQ127", hint=f"Leave it out:  --data hf:{folder}")
        return _saved_files(folder, f"hf:{folder.name}")
    return _cached_files(folder, spec)


def _existing(folder: Path) -> Path:
    """Return the folder, or that of the cache whose name differs in case and underscores alone.

    The cache writes ``MyData`` as ``my_data``.
    """
    if folder.is_dir():
        return folder
    siblings = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    found = [path for path in siblings if _plain(path) == _plain(folder) and path.is_dir()]
    if found:
        return found[0]
    name = folder.name.replace("___", "/")
    message = f"there is no dataset {name!r} in {folder.parent}, and onnxq fetches nothing."
    hint = (
        "Fetch it once:  "
        f"python -c \"from datasets import load_dataset; load_dataset('{name}')\"\n"
        "or save a part of it:  dataset.save_to_disk('folder')   and   --data hf:./folder"
    )
    raise DatasetError(message, code="OQ127", hint=hint)


def _plain(path: Path) -> str:
    return path.name.replace("_", "").lower()


def _saved_files(folder: Path, title: str) -> ArrowFiles:
    state = _read(folder / "state.json", _State)
    if state.indices:
        message = f"{folder} holds a choice of rows beside the rows, as old versions saved them."
        hint = "Save it again:  dataset.flatten_indices().save_to_disk('folder')"
        raise DatasetError(message, code="OQ127", hint=hint)
    info = _read(folder / "dataset_info.json", _Info)
    paths = tuple(folder / file.filename for file in state.data_files)
    return ArrowFiles(title, _checked(paths), is_parquet=False, images=_images(info))


def _cached_files(folder: Path, spec: HubSpec) -> ArrowFiles:
    """Find a split in the cache: ``folder/configuration/version/hash/NAME-SPLIT.arrow``."""
    infos = sorted(folder.glob("*/*/*/dataset_info.json"), key=lambda path: path.stat().st_mtime_ns)
    newest = {path.parts[-4]: path for path in infos}  # by configuration
    if not newest:
        message = f"{folder} holds no dataset: found neither state.json nor a cached one."
        hint = "Save one:  dataset.save_to_disk('folder')   and   --data hf:./folder"
        raise DatasetError(message, code="OQ127", hint=hint)
    named = spec.parts[:-1] if len(spec.parts) == _BOTH else ()
    if len(newest) > 1 and not named and spec.parts and spec.parts[0] in newest:
        named = spec.parts
    configuration = _choose("configuration", named, list(newest), spec)
    path = newest[configuration]
    info = _read(path, _Info)
    splits = info.splits or {}
    split = _choose("split", spec.parts[len(named) :], list(splits), spec)
    stem = f"{info.dataset_name or info.builder_name or folder.name}-{split}"
    shards = len(splits[split].shard_lengths or [0])
    names = [f"{stem}.arrow"]
    if shards > 1:
        names = [f"{stem}-{index:05d}-of-{shards:05d}.arrow" for index in range(shards)]
    return ArrowFiles(
        f"hf:{folder.name}:{split}",
        _checked(tuple(path.parent / name for name in names)),
        is_parquet=False,
        images=_images(info),
    )


def _choose(kind: str, named: tuple[str, ...], known: list[str], spec: HubSpec) -> str:
    if len(named) == 1 and named[0] in known:
        return named[0]
    if not named and len(known) == 1:
        return known[0]
    dataset = Path(spec.dataset).name.replace("___", "/")
    listed = ", ".join(known) or "none"
    found = f"no {kind} {named[0]!r}" if named else f"{len(known)} {kind}s and none was named"
    message = f"hf:{dataset} has {found}: there are {listed}."
    example = ":".join([dataset, *(spec.parts[:-1] or ()), known[-1] if known else "test"])
    form = "hf:NAME:SPLIT, or hf:NAME:CONFIGURATION:SPLIT"
    raise DatasetError(message, code="OQ127", hint=f"Name one:  --data hf:{example}   ({form})")


def _images(info: _Info) -> frozenset[str]:
    features = info.features or {}
    return frozenset(
        name
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "Image"
    )


def _checked(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in paths:
        if not path.is_file():
            message = f"{path} does not exist: the dataset was not stored completely."
            raise DatasetError(message, code="OQ127", hint="Store or fetch the dataset again.")
    if not paths:
        message = "the dataset has no files."
        raise DatasetError(message, code="OQ124", hint="Store or fetch the dataset again.")
    return paths


def _read(path: Path, kind: type[_JsonT]) -> _JsonT:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        message = f"{path} cannot be read: {error}."
        raise DatasetError(
            message, code="OQ127", hint="Store or fetch the dataset again."
        ) from error
