import os
import pickle
import warnings
from collections import namedtuple

import numpy as np
import onnx
import pytest

from onnxq.errors import ConversionError, MissingDependencyError, SourceError
from onnxq.graph.model_files import load_proto, read_model
from onnxq.runtime import open_predict
from onnxq.sources import InputDeclaration, TorchFactory, WeightsFile, parse_input

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402 - after the skip

from onnxq.conversion.from_torch import convert_module  # noqa: E402 - after the skip
from onnxq.conversion.from_torch_calls import torch_input_names  # noqa: E402 - after the skip
from onnxq.conversion.from_torch_factory import (  # noqa: E402 - after the skip
    importable_from,
    load_module,
)
from onnxq.conversion.from_torch_weights import strip_wrappers  # noqa: E402 - after the skip

pytestmark = pytest.mark.torch

Pair = namedtuple("Pair", ["scores", "boxes"])


class TinyCnn(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, image, scale=None):
        x = torch.relu(self.bn(self.conv(image))).mean(dim=(2, 3))
        return self.fc(x if scale is None else x * scale)


class Named(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 4)

    def forward(self, tokens, mask):
        return (self.table(tokens) * mask.unsqueeze(-1)).sum(dim=1)


class OnlyBatchTwoOrOne(nn.Module):
    """Its graph depends on the number of rows: it cannot be exported with a free batch."""

    def forward(self, x):
        return x + 1 if len(x) == 1 else x.flip(0).reshape(2, -1)[:, :2] * 2


class Branching(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x - 1


def convert(module, *inputs, path):
    declared = tuple(parse_input(text) for text in inputs)
    export = convert_module(module.eval(), declared, path / "out.onnx")
    return export, read_model(path / "out.onnx")


def assert_same(export, model, feeds):
    expected, found = export.predict(feeds), open_predict(model.path)(feeds)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert array.dtype == found[name].dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


def images(rows):
    return np.random.default_rng(rows).standard_normal((rows, 1, 6, 6)).astype(np.float32)


def test_the_batch_stays_free_and_the_opset_low(tmp_path):
    export, model = convert(TinyCnn(), "image:Nx1x6x6", path=tmp_path)
    assert export.traced_rows == 2
    assert export.findings == ()
    assert (model.opset, model.ir_version) == (18, 8)
    assert str(model.signature.inputs[0]) == "image float32 [N, 1, 6, 6]"
    assert str(model.signature.outputs[0]) == "output float32 [N, 3]"
    for rows in (1, 2, 5):
        assert_same(export, model, {"image": images(rows)})


def test_the_file_says_nothing_about_this_machine(tmp_path):
    _, model = convert(TinyCnn(), "image:Nx1x6x6", path=tmp_path)
    content = (tmp_path / "out.onnx").read_bytes()
    assert os.fsencode(os.path.dirname(__file__)) not in content
    proto = load_proto(model.path)
    assert [imported.domain for imported in proto.opset_import] == [""]
    assert not proto.metadata_props
    assert not proto.graph.value_info
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)
    assert list(tmp_path.iterdir()) == [tmp_path / "out.onnx"]


def test_an_input_keeps_the_name_that_was_declared(tmp_path):
    export, model = convert(TinyCnn(), "x:Nx1x6x6", path=tmp_path)
    assert [spec.name for spec in model.signature.inputs] == ["x"]
    assert_same(export, model, {"x": images(3)})


def test_a_declared_batch_of_one_is_fixed(tmp_path):
    export, model = convert(TinyCnn(), "image:1x1x6x6", path=tmp_path)
    assert export.traced_rows == 1
    assert export.findings == ()
    assert model.signature.fixed_batch_rows == 1
    assert_same(export, model, {"image": images(1)})


def test_optional_inputs_may_be_declared_in_any_order(tmp_path):
    export, model = convert(TinyCnn(), "scale:Nx1", "image:Nx1x6x6", path=tmp_path)
    assert [spec.name for spec in model.signature.inputs] == ["image", "scale"]
    scale = np.array([[2], [3], [4]], np.float32)
    assert_same(export, model, {"image": images(3), "scale": scale})


def test_integer_inputs(tmp_path):
    declared = ("tokens:Nx5:int64:0..9", "mask:Nx5")
    export, model = convert(Lookup(), *declared, path=tmp_path)
    generator = np.random.default_rng(0)
    feeds = {
        "tokens": generator.integers(0, 10, (3, 5)),
        "mask": generator.integers(0, 2, (3, 5)).astype(np.float32),
    }
    assert_same(export, model, feeds)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda x: x * 2, ["output"]),
        (lambda x: (x + 1, x + 2), ["output_0", "output_1"]),
        (lambda x: [x + 1], ["output_0"]),
        (lambda x: {"logits": x + 1, "rest": [x + 2, None, x + 3]}, ["logits", "rest_0", "rest_2"]),
        (lambda x: Pair(x + 1, x + 2), ["scores", "boxes"]),
        (lambda x: {"b": x + 1, "a": x + 2}, ["b", "a"]),
        (lambda x: {"x": x + 1, "same": x}, ["output_x", "same"]),
        (lambda x: {"label": x.argmax(1), "positive": x > 0}, ["label", "positive"]),
    ],
)
def test_outputs_are_named_by_the_module(make, names, tmp_path):
    export, model = convert(Named(make), "x:Nx4", path=tmp_path)
    assert [spec.name for spec in model.signature.outputs] == names
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    assert_same(export, model, {"x": x})


def test_a_batch_that_cannot_be_free_is_fixed_and_said(tmp_path):
    export, model = convert(OnlyBatchTwoOrOne(), "x:Nx4", path=tmp_path)
    assert model.signature.fixed_batch_rows == 1
    assert [finding.code for finding in export.findings] == ["OQ153"]
    assert export.findings[0].evidence == {"batch_rows": 1}
    assert_same(export, model, {"x": np.ones((1, 4), np.float32)})


def test_control_flow_on_values_is_refused(tmp_path):
    with pytest.raises(ConversionError) as caught:
        convert(Branching(), "x:Nx4", path=tmp_path)
    assert caught.value.code == "OQ151"
    assert "Branching" in caught.value.message
    assert "data-dependent" in caught.value.message
    assert len(caught.value.message) < 400
    assert not (tmp_path / "out.onnx").exists()


def test_the_exporter_says_nothing(tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(OnlyBatchTwoOrOne(), "x:Nx4", path=tmp_path)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


@pytest.mark.parametrize(
    ("module", "inputs", "words"),
    [
        (TinyCnn(), ["image:Nx3x6x6"], ("TinyCnn failed on image float32 [2, 3, 6, 6]",)),
        (TinyCnn(), ["image:NxCx6x6"], ("leaves C free",)),
        (TinyCnn(), ["image:Nx1x6x6:string"], ("which PyTorch cannot hold",)),
        (TinyCnn(), ["scale:Nx1"], ("also needs image",)),
        (Lookup(), ["tokens:Nx5:int64"], ("also needs mask",)),
        (Lookup(), ["a:Nx5:int64"], ("takes (tokens, mask); declared are (a)",)),
        (TinyCnn(), ["a:Nx1", "b:Nx1", "c:Nx1"], ("takes (image, scale)",)),
    ],
)
def test_inputs_that_do_not_fit_are_said(module, inputs, words, tmp_path):
    with pytest.raises(SourceError) as caught:
        convert(module, *inputs, path=tmp_path)
    assert caught.value.code == "OQ112"
    for word in words:
        assert word in caught.value.message


def test_an_output_that_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(ConversionError, match="returns a str"):
        convert(Named(lambda x: (x, "word")), "x:Nx4", path=tmp_path)


def test_input_names_are_what_forward_needs():
    assert torch_input_names(TinyCnn()) == ("image",)
    assert torch_input_names(Lookup()) == ("tokens", "mask")
    assert torch_input_names(nn.Sequential(nn.Linear(2, 2))) == ("input",)


# factories

NETS = """
import torch
from neighbour import WIDTH

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.features = torch.nn.Linear(WIDTH, 3)
        self.bn = torch.nn.BatchNorm1d(3)
        self.drop = torch.nn.Dropout(0.5)
    def forward(self, x):
        return self.drop(self.bn(self.features(x)))

def build():
    return Net()

def with_width(width, depth=1):
    return Net()

def failing():
    raise ValueError("no GPU here")

def leaving():
    raise SystemExit(3)

def number():
    return 3

def scripted():
    return torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))

ready = Net()
LIMIT = 3
"""


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "nets_of_test.py").write_text(NETS)
    (tmp_path / "neighbour.py").write_text("WIDTH = 4\n")
    (tmp_path / "imports_missing.py").write_text("import no_such_package_here\n")
    (tmp_path / "raises.py").write_text("1 / 0\n")
    (tmp_path / "wrong_syntax.py").write_text("def build(:\n")
    return tmp_path


def load(folder, module, function, weights=None):
    factory = TorchFactory(module, function)
    if weights is not None:
        factory = TorchFactory(module, function, WeightsFile(str(weights)))
    folders = (str(folder),)
    with importable_from(folders), pytest.MonkeyPatch.context() as patch:
        for name in ("nets_of_test", "neighbour"):
            patch.delitem(__import__("sys").modules, name, raising=False)
        return load_module(factory, folders)


@pytest.mark.parametrize("module", ["nets_of_test", "nets_of_test.py"])
@pytest.mark.parametrize("function", ["build", "Net", "ready"])
def test_a_factory_is_called(module, function, nets):
    loaded, findings = load(nets, module, function)
    assert isinstance(loaded, nn.Module)
    assert not loaded.training
    assert findings == ()


@pytest.mark.parametrize(
    ("module", "function", "code", "words"),
    [
        ("nets_of_test", "biuld", "OQ105", ("no 'biuld'", "Did you mean build?")),
        ("nets_of_tset", "build", "OQ105", ("no Python module", "Did you mean 'nets_of_test'?")),
        ("nets_of_test.sub", "build", "OQ105", ("no Python module",)),
        ("none.py", "build", "OQ101", ("none.py does not exist",)),
        ("nets_of_test", "with_width", "OQ106", ("needs arguments: width.",)),
        ("nets_of_test", "failing", "OQ106", ("ValueError: no GPU here",)),
        ("nets_of_test", "leaving", "OQ106", ("SystemExit",)),
        ("nets_of_test", "number", "OQ106", ("returned a int",)),
        ("nets_of_test", "LIMIT", "OQ106", ("expected a function",)),
        ("nets_of_test", "scripted", "OQ111", ("TorchScript",)),
        ("raises.py", "build", "OQ106", ("ZeroDivisionError",)),
        ("wrong_syntax.py", "build", "OQ106", ("SyntaxError",)),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, in "scripted"
def test_a_factory_that_cannot_be_used_says_why(module, function, code, words, nets):
    with pytest.raises(SourceError) as caught:
        load(nets, module, function)
    assert caught.value.code == code
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"


def test_a_package_that_the_user_needs_is_named(nets):
    with pytest.raises(MissingDependencyError) as caught:
        load(nets, "imports_missing.py", "build")
    assert caught.value.code == "OQ108"
    assert "pip install no_such_package_here" in caught.value.hint


# weights


def trained():
    torch.manual_seed(1)
    return {
        "features.weight": torch.randn(3, 4),
        "features.bias": torch.randn(3),
        "bn.weight": torch.rand(3),
        "bn.bias": torch.rand(3),
        "bn.running_mean": torch.rand(3),
        "bn.running_var": torch.rand(3),
        "bn.num_batches_tracked": torch.tensor(7),
    }


def without(*names):
    return {name: tensor for name, tensor in trained().items() if name not in names}


def wrapped(prefix):
    return {f"{prefix}{name}": tensor for name, tensor in trained().items()}


@pytest.mark.parametrize(
    ("saved", "codes"),
    [
        (trained(), []),
        ({"state_dict": trained(), "epoch": 3, "best": torch.tensor(0.5)}, []),
        ({"model_state_dict": trained(), "optimizer": {"lr": 0.1}}, []),
        ({"model": {"net": trained()}}, []),
        ({"ema": trained(), "model": trained()}, ["OQ157"]),
        (wrapped("module."), []),
        (wrapped("_orig_mod."), []),
        ({"state_dict": wrapped("module._orig_mod.")}, []),
        (without("bn.num_batches_tracked"), []),
    ],
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_are_found_and_loaded(saved, codes, is_zip, nets):
    file = nets / "weights.pt"
    torch.save(saved, file, _use_new_zipfile_serialization=is_zip)
    module, findings = load(nets, "nets_of_test", "build", file)
    torch.testing.assert_close(module.features.weight, trained()["features.weight"])
    assert [finding.code for finding in findings] == codes


def renamed():
    return {name.replace("features", "feature"): t for name, t in trained().items()}


class Custom:
    pass


@pytest.mark.parametrize(
    ("saved", "code", "words"),
    [
        (without("bn.weight"), "OQ107", ("missing 1 of 7: bn.weight",)),
        (trained() | {"fc.bias": torch.ones(2)}, "OQ107", ("unexpected 1 of 8: fc.bias",)),
        (renamed(), "OQ107", ("missing 2 of 7", "feature.weight -> features.weight")),
        (
            trained() | {"features.bias": torch.ones(5)},
            "OQ107",
            ("1 of 7 shapes differ", "features.bias: file [5], module [3]"),
        ),
        ({"epoch": 3}, "OQ107", ("no weights", "epoch")),
        ([1, 2], "OQ107", ("a list",)),
        ({"w": Custom()}, "OQ109", ("would run code", "Custom", "state_dict()")),
    ],
)
def test_weights_that_do_not_fit_say_why(saved, code, words, nets):
    file = nets / "weights.pt"
    torch.save(saved, file)
    with pytest.raises(SourceError) as caught:
        load(nets, "nets_of_test", "build", file)
    assert caught.value.code == code
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("cut", [40, 700])
def test_a_truncated_checkpoint_is_said(cut, nets):
    file = nets / "weights.pt"
    torch.save(trained(), file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(SourceError) as caught:
        load(nets, "nets_of_test", "build", file)
    assert caught.value.code == "OQ104"


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_checkpoint_does_not_run(is_zip, nets):
    file = nets / "weights.pt"
    saved = {"features.weight": Payload()}
    torch.save(saved, file, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(SourceError) as caught:
        load(nets, "nets_of_test", "build", file)
    assert caught.value.code == "OQ109"


def test_a_plain_pickle_is_not_a_checkpoint(nets):
    file = nets / "weights.pt"
    file.write_bytes(pickle.dumps({"w": Payload()}))
    with pytest.raises(SourceError):
        load(nets, "nets_of_test", "build", file)


def test_a_modules_own_prefix_stays():
    weights = {"module.weight": torch.ones(1)}
    assert strip_wrappers(weights, frozenset({"module.weight"})) == weights
    assert list(strip_wrappers(weights, frozenset({"weight"}))) == ["weight"]


# real weights


@pytest.mark.parametrize(
    ("function", "weights", "side"),
    [
        ("resnet20", "pytorch_cifar_resnet/resnet20-12fca82f.th", 32),
        (
            "squeezenet1_0",
            "pytorch_squeezenet_deepcomp/squeezenet1_0_deepcomp_torchvision_names.pth",
            227,
        ),
    ],
)
def test_third_party_weights_convert(function, weights, side, shared, request, tmp_path):
    nets_file = request.config.rootpath / "scripts" / "acceptance" / "nets.py"
    module, _ = load(tmp_path, str(nets_file), function, shared / "models" / weights)
    declared = InputDeclaration("image", ("N", 3, side, side))
    export = convert_module(module, (declared,), tmp_path / "out.onnx")
    model = read_model(tmp_path / "out.onnx")
    x = np.random.default_rng(0).standard_normal((3, 3, side, side)).astype(np.float32)
    expected = export.predict({"image": x})["output"]
    found = open_predict(model.path)({"image": x})["output"]
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()))
    assert onnx.load(model.path).opset_import[0].version == 18
