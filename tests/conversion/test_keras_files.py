"""Keras files are refused before Keras opens them, each for its own reason."""

import importlib.util
import json
import zipfile

import pytest

from onnxq.errors import SourceError

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(
        importlib.util.find_spec("h5py") is None, reason="the extra keras is not installed"
    ),
]

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}}


@pytest.fixture
def read():
    from onnxq.conversion.keras_files import read_keras_config  # noqa: PLC0415 - needs h5py

    return read_keras_config


def write_zip(path, config, version="3.15.1", members=("metadata.json", "model.weights.h5")):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        for name in members:
            archive.writestr(name, json.dumps({"keras_version": version}))
    return path


def test_config_is_read(read, tmp_path):
    found = read(write_zip(tmp_path / "m.keras", DENSE))
    assert (found.layout, found.keras_version, found.is_keras2) == ("zip", "3.15.1", False)
    assert found.config == DENSE


@pytest.mark.parametrize(
    ("version", "old"), [("2.15.0", True), ("", True), ("?", True), ("10.0", False)]
)
def test_keras2_is_told_apart(read, tmp_path, version, old):
    assert read(write_zip(tmp_path / "m.keras", DENSE, version)).is_keras2 == old


@pytest.mark.parametrize(
    ("foreign", "named"),
    [
        ({"class_name": "Lambda", "config": {}}, "a Lambda layer"),
        ({"class_name": "__lambda__", "config": {"value": "4wEAAA=="}}, "a Lambda layer"),
        ({"class_name": "TFSMLayer", "module": "keras.layers", "config": {}}, "a TFSMLayer"),
        ({"class_name": "TorchModuleWrapper", "config": {}}, "a TorchModuleWrapper"),
        ({"class_name": "Popen", "module": "subprocess", "config": {}}, "'Popen' of subprocess"),
        ({"class_name": "A", "module": "keras_evil.layers", "config": {}}, "'A' of keras_evil"),
        (
            {"class_name": "function", "module": "os", "config": "system"},
            "'system' of os",
        ),
        (
            {"class_name": "A", "module": None, "registered_name": "mine>A", "config": {}},
            "'A', registered under 'mine'",
        ),
    ],
)
def test_code_is_refused_however_deep_it_sits(read, tmp_path, foreign, named):
    inside = {"class_name": "Sequential", "config": {"layers": [DENSE, {"config": foreign}]}}
    with pytest.raises(SourceError, match=named) as raised:
        read(write_zip(tmp_path / "m.keras", inside))
    assert raised.value.code == "OQ109"


@pytest.mark.parametrize(
    ("config", "members"),
    [
        ("{", ("metadata.json", "model.weights.h5")),
        (json.dumps(DENSE), ("metadata.json",)),
        (json.dumps(DENSE), ("model.weights.h5",)),
        ("[" * 100_000, ("metadata.json", "model.weights.h5")),
    ],
)
def test_zip_that_is_no_keras_file(read, tmp_path, config, members):
    with pytest.raises(SourceError, match=r"m\.keras") as raised:
        read(write_zip(tmp_path / "m.keras", config, members=members))
    assert raised.value.code == "OQ104"


def test_flipped_byte_is_found(read, tmp_path):
    path = write_zip(tmp_path / "m.keras", DENSE)
    content = bytearray(path.read_bytes())
    content[content.index(b"Dense")] ^= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"checksum of config\.json") as raised:
        read(path)
    assert raised.value.code == "OQ104"


def test_hdf5_under_the_other_suffix(read, tmp_path):
    import h5py  # noqa: PLC0415 - comes with the extra

    with h5py.File(tmp_path / "m.keras", "w"):
        pass
    with pytest.raises(SourceError, match="is an HDF5 file") as raised:
        read(tmp_path / "m.keras")
    assert raised.value.code == "OQ104"
    assert "m.h5" in raised.value.hint


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_missing_file(read, tmp_path, suffix):
    with pytest.raises(SourceError, match="does not exist") as raised:
        read(tmp_path / f"m{suffix}")
    assert raised.value.code == "OQ101"


def test_stateful_layer(read, tmp_path):
    layer = {"class_name": "LSTM", "config": {"name": "memory", "stateful": True}}
    with pytest.raises(SourceError, match="'memory' is stateful") as raised:
        read(write_zip(tmp_path / "m.keras", layer))
    assert raised.value.code == "OQ111"


@pytest.mark.parametrize("text", [None, "{"])
def test_hdf5_without_a_model(read, tmp_path, text):
    import h5py  # noqa: PLC0415 - comes with the extra

    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["numbers"] = [1, 2]
        if text is not None:
            file.attrs["model_config"] = text
    with pytest.raises(SourceError, match="model_config") as raised:
        read(tmp_path / "m.h5")
    assert raised.value.code == "OQ104"
