"""The models of this project: what they are, what they score, and the rows that they are fed."""

import importlib.util
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

MODELS = Path(__file__).parents[1] / "models"
MOST_BYTES = 1_000_000
FLIPS = 0.002
"""Share of the rows that another CPU's rounding may turn."""

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="the extra torch is not installed"
)
needs_keras = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="the extra keras is not installed"
)


class Factory(NamedTuple):
    """A function in models/ that makes a network, and what it takes and gives for a batch of N."""

    file: str
    name: str
    parameters: int
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    vocabulary: int = 0

    def __str__(self):
        return f"{Path(self.file).parent}-{self.name}"

    def rows(self, count):
        """Random rows; tokens where there is a vocabulary."""
        generator = np.random.default_rng(5)
        if self.vocabulary:
            first, *masks = self.inputs
            tokens = generator.integers(1, self.vocabulary, (count, *first))
            return (tokens, *(np.ones((count, *mask), np.int64) for mask in masks))
        shapes = ((count, *shape) for shape in self.inputs)
        return tuple(generator.random(shape, np.float32) for shape in shapes)


class Trained(NamedTuple):
    """Weights that are committed, the rows that judge them, and their share of right answers."""

    file: str
    weights: str
    rows: str
    top1: float

    def __str__(self):
        return str(Path(self.file).parent)


PHOTO, SMALL_PHOTO = (3, 224, 224), (3, 96, 96)

TORCH_FACTORIES = [
    Factory("digits_resnet_torch/net.py", "build", 123_914, ((1, 28, 28),), (10,)),
    Factory("mnist_mlp_torch/net.py", "build", 101_770, ((28, 28),), (10,)),
    Factory("sst2_lstm_torch/net.py", "build", 217_666, ((32,),), (2,), 4096),
    Factory("banking77_encoder_torch/net.py", "build", 205_197, ((32,),), (77,), 2048),
    Factory("mnist_cnn_torch/net.py", "build", 1_199_882, ((1, 28, 28),), (10,)),
    Factory("taggers_torch/net.py", "build", 3_663_904, ((9,),), (9, 32), 10_000),
    Factory("taggers_torch/net.py", "gru_tagger", 3_072_032, ((9,),), (9, 32), 10_000),
    Factory("mobilenet_torch/net.py", "build", 3_504_872, (SMALL_PHOTO,), (1000,)),
    Factory("mobilenet_torch/net.py", "mobilenet_v3_small", 2_542_856, (SMALL_PHOTO,), (1000,)),
    Factory("resnet_torch/net.py", "build", 11_689_512, (SMALL_PHOTO,), (1000,)),
    pytest.param(
        Factory("resnet_torch/net.py", "resnet50", 25_557_032, (SMALL_PHOTO,), (1000,)),
        marks=pytest.mark.slow,
    ),
    Factory("transformers_torch/net.py", "build", 28_763_648, ((9,), (9,)), (512,), 30_522),
    pytest.param(
        Factory("transformers_torch/net.py", "vit_s", 22_050_664, (PHOTO,), (1000,)),
        marks=pytest.mark.slow,
    ),
]
"""Counts of parameters as the papers have them; build() calls the smaller of a file's two."""

KERAS_FACTORIES = [
    Factory("mnist_cnn_keras/mnist_cnn.py", "build", 20_410, ((28, 28),), (10,)),
    Factory("mnist_tutorial_keras/mnist_tutorial.py", "build", 20_410, ((28, 28),), (10,)),
    Factory("banking77_gru_keras/banking77_gru.py", "build", 176_589, ((32,),), (77,), 2048),
    Factory(
        "mnist_autoencoder_keras/mnist_autoencoder.py", "build", 111_521, ((28, 28),), (28, 28)
    ),
]

TRAINED_TORCH = [
    Trained("mnist_mlp_torch/net.py", "weights.pt", "mnist.py:test_rows", 0.9807),
    Trained("sst2_lstm_torch/net.py", "weights.pt", "text.py:sst2_test", 0.7507),
    Trained("banking77_encoder_torch/net.py", "weights.pt", "text.py:banking77_test", 0.8844),
]

TRAINED_KERAS = [
    Trained(
        "mnist_tutorial_keras/mnist_tutorial.py",
        "mnist_tutorial.keras",
        "mnist.py:test_rows",
        0.9815,
    ),
    Trained(
        "banking77_gru_keras/banking77_gru.py",
        "banking77_gru.keras",
        "text.py:banking77_test",
        0.8701,
    ),
]

READMES = sorted(MODELS.glob("*/README.md"))


def load(file):
    """Import a file of models/ as onnxq does: by its path, without a package around it."""
    spec = importlib.util.spec_from_file_location(f"models_{Path(file).stem}", MODELS / file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(named):
    file, _, name = named.partition(":")
    return getattr(load(file), name)()


def readme_of(trained):
    return (MODELS / trained.file).with_name("README.md").read_text("utf-8")


@pytest.fixture
def real_rows(shared, monkeypatch):
    """Rows of ../shared, by the name of the function that loads them."""
    monkeypatch.setenv("ONNXQ_SHARED", str(shared))
    return call


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def keras():
    from onnxq.conversion.from_keras_backend import keras  # noqa: PLC0415 - takes seconds

    return keras


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize("factory", TORCH_FACTORIES, ids=str)
def test_torch_network_has_its_parameters_and_takes_any_batch(torch, factory):
    net = getattr(load(factory.file), factory.name)().eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == factory.parameters
    rows = tuple(torch.from_numpy(array) for array in factory.rows(3))
    with torch.inference_mode():
        three, one = net(*rows), net(*(array[:1] for array in rows))
    assert (three.shape, one.shape) == ((3, *factory.outputs), (1, *factory.outputs))
    scale = three.abs().max().item()
    np.testing.assert_allclose(one[0], three[0], atol=1e-4 * scale)
    assert 1e-4 < three.std(0).mean() < 1e3, "rows should be told apart, at a sane scale"


@pytest.mark.torch
@needs_torch
def test_random_weights_are_the_same_each_time_and_leave_the_generator_alone(torch):
    build = load("mobilenet_torch/net.py").mobilenet_v3_small
    before = torch.random.get_rng_state()
    first, second = build().state_dict(), build().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.torch
@needs_torch
def test_encoder_looks_past_padding_and_bears_an_empty_text(torch):
    net = load("banking77_encoder_torch/net.py").build().eval()
    tokens = torch.zeros(2, 32, dtype=torch.int64)
    tokens[1, 30:] = 7
    with torch.inference_mode():
        found = net(tokens)
        net.position[:30] += 1
        changed = net(tokens)
    assert found.isfinite().all()
    np.testing.assert_allclose(found[1], changed[1], atol=1e-6)


@pytest.mark.torch
@needs_torch
def test_bert_looks_past_what_is_masked(torch):
    net = load("transformers_torch/net.py").bert_small()
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 9, 9]])
    mask = torch.tensor([[1, 1, 0, 0]] * 2)
    with torch.inference_mode():
        found = net(ids, mask)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize("trained", TRAINED_TORCH, ids=str)
def test_torch_weights_score_what_the_readme_says(torch, real_rows, trained):
    rows = real_rows(trained.rows)
    labels = rows.pop("y")
    net = load(trained.file).build().eval()
    file = (MODELS / trained.file).with_name(trained.weights)
    net.load_state_dict(torch.load(file, weights_only=True))
    with torch.inference_mode():
        found = net(*map(torch.from_numpy, rows.values())).argmax(1).numpy()
    assert np.mean(found == labels) == pytest.approx(trained.top1, abs=FLIPS)
    assert f"{trained.top1:.2%}".replace("%", " % top-1") in readme_of(trained)


@pytest.mark.torch
@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("name", ["sst2_lstm_torch", "banking77_encoder_torch"])
def test_text_models_export_with_a_free_batch(torch, tmp_path, name):
    pytest.importorskip("onnxscript")
    from onnxq.conversion.from_torch import convert_module  # noqa: PLC0415 - takes seconds
    from onnxq.graph.model_files import read_model  # noqa: PLC0415 - beside the other
    from onnxq.runtime import open_predict  # noqa: PLC0415 - beside the other
    from onnxq.sources import parse_input  # noqa: PLC0415 - beside the other

    net = load(f"{name}/net.py").build().eval()
    file = tmp_path / "model.onnx"
    convert_module(net, (parse_input("tokens:Nx32:int64:0..2047"),), file)
    assert read_model(file).signature.inputs[0].shape == ("N", 32)
    predict = open_predict(file)
    for count in (1, 3, 7):
        tokens = np.random.default_rng(count).integers(0, 2048, (count, 32))
        with torch.inference_mode():
            expected = net(torch.from_numpy(tokens)).numpy()
        (found,) = predict({"tokens": tokens}).values()
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.keras
@needs_keras
@pytest.mark.parametrize("factory", KERAS_FACTORIES, ids=str)
def test_keras_network_has_its_parameters_and_takes_any_batch(keras, factory):
    network = getattr(load(factory.file), factory.name)()
    assert network.count_params() == factory.parameters
    (rows,) = factory.rows(3)
    three, one = (keras.ops.convert_to_numpy(network(batch)) for batch in (rows, rows[:1]))
    assert (three.shape, one.shape) == ((3, *factory.outputs), (1, *factory.outputs))
    np.testing.assert_allclose(one[0], three[0], atol=1e-5)


@pytest.mark.keras
@pytest.mark.slow
@needs_keras
@pytest.mark.parametrize(
    ("name", "parameters"), [("mobilenet_v2", 3_538_984), ("resnet50", 25_636_712)]
)
def test_keras_applications_come_without_a_download(keras, name, parameters):
    network = getattr(load("applications_keras/nets.py"), name)()
    assert (network.count_params(), network.output_shape) == (parameters, (None, 1000))
    images = np.random.default_rng(5).random((3, 224, 224, 3), np.float32)
    found = keras.ops.convert_to_numpy(network(images))
    assert found.sum() == pytest.approx(3, abs=1e-3)
    assert found.std(axis=0).mean() > 1e-6, "rows should be told apart"


@pytest.mark.keras
@needs_keras
@pytest.mark.parametrize("trained", TRAINED_KERAS, ids=str)
def test_keras_model_scores_what_the_readme_says(keras, real_rows, trained):
    rows = real_rows(trained.rows)
    network = load_keras(keras, trained)
    found = network.predict_on_batch(next(iter(rows.values()))).argmax(axis=1)
    assert np.mean(found == rows["y"]) == pytest.approx(trained.top1, abs=FLIPS)
    assert f"{trained.top1:.2%}".replace("%", " % top-1") in readme_of(trained)


@pytest.mark.keras
@needs_keras
def test_keras_autoencoder_restores_what_the_readme_says(keras, real_rows):
    file, weights = "mnist_autoencoder_keras/mnist_autoencoder.py", "mnist_autoencoder.keras"
    trained = Trained(file, weights, "mnist.py:restoring_rows", 0)
    rows = real_rows(trained.rows)
    network = load_keras(keras, trained)
    squared = (network.predict_on_batch(rows["image"]) - rows["y"]) ** 2
    said = re.search(
        r"(\d\.\d+) mean squared error .* mean image has (\d\.\d+)", readme_of(trained)
    )
    assert squared.mean() == pytest.approx(float(said[1]), rel=0.01)
    assert rows["y"].var(axis=0).mean() == pytest.approx(float(said[2]), rel=0.01)


def load_keras(keras, trained):
    """Load a model that is committed; its layers are those that build() makes."""
    file = (MODELS / trained.file).with_name(trained.weights)
    network = keras.saving.load_model(file, compile=False)
    built = load(trained.file).build()
    shapes = [[variable.shape for variable in each.weights] for each in (network, built)]
    assert shapes[0] == shapes[1]
    return network


def test_weights_are_small():
    files = [file for suffix in ("pt", "keras") for file in MODELS.glob(f"*/*.{suffix}")]
    assert len(files) >= 8
    assert [file.name for file in files if file.stat().st_size > MOST_BYTES] == []


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_readme_names_what_is_there(readme):
    """Every path of its commands exists, and so does every function."""
    blocks = re.findall(r"```\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)
    words = shlex.split("\n".join(blocks).replace("\\\n", " "))
    named = [word for word in words if word.startswith(("models/", "scripts/"))]
    for word in named:
        path, _, name = word.partition(":")
        file = MODELS.parent / path
        assert file.exists(), word
        assert not name or f"def {name}(" in file.read_text("utf-8"), word
    assert named or readme.parent.name == "mnist_cnn_keras"


def test_texts_become_numbers_that_never_change():
    text = load("text.py")
    found = text.encode(["Where's my card? where's IT", "", "word " * 40], 2048)
    assert (found.shape, found.dtype) == ((3, 32), np.int64)
    np.testing.assert_array_equal(found[0, -5:], [283, 1001, 959, 283, 910])
    assert not found[0, :27].any()
    assert not found[1].any()
    assert (found[2] == found[2, 0]).all()
    assert (found[2] > 0).all()


@pytest.mark.parametrize(
    ("name", "count", "vocabulary", "classes"),
    [
        ("sst2_test", 1821, 4096, 2),
        ("sst2_validation", 872, 4096, 2),
        ("banking77_test", 3080, 2048, 77),
        ("banking77_calibration", 257, 2048, 77),
    ],
)
def test_texts_are_rows_that_fit_their_models(real_rows, name, count, vocabulary, classes):
    rows = real_rows(f"text.py:{name}")
    assert {key: array.dtype for key, array in rows.items()} == {"tokens": np.int64, "y": np.int64}
    assert (rows["tokens"].shape, rows["y"].shape) == ((count, 32), (count,))
    assert rows["tokens"].max() < vocabulary
    assert rows["tokens"][:, -1].min() > 0, "a text has a word, and the padding is on the left"
    assert set(rows["y"]) == set(range(classes))


@pytest.mark.parametrize("name", ["test_rows", "restoring_rows", "calibration_rows"])
def test_mnist_is_ink_on_paper(real_rows, name):
    rows = real_rows(f"mnist.py:{name}")
    count = 256 if name == "calibration_rows" else 10_000
    assert (rows["image"].shape, rows["image"].dtype) == ((count, 28, 28), np.float32)
    assert (rows["image"].min(), rows["image"].max()) == (0, 1)
    assert {array.shape[0] for array in rows.values()} == {count}
