import os
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest

from onnxq.conversion.factories import call_factory
from onnxq.errors import ConversionError, SourceError
from onnxq.graph.model_files import load_proto, read_model
from onnxq.runtime import open_predict
from onnxq.sources import Factory, InputDeclaration, WeightsFile, parse_input

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402 - after the skip

from onnxq.conversion.from_torch import convert_module  # noqa: E402 - after the skip
from onnxq.conversion.from_torch_calls import torch_input_names  # noqa: E402 - after the skip
from onnxq.conversion.from_torch_models import open_own  # noqa: E402 - after the skip

pytestmark = pytest.mark.torch


class Pair(NamedTuple):
    scores: torch.Tensor
    boxes: torch.Tensor


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


class Unrolling(nn.Module):
    """Its graph grows with the number of rows: it cannot be exported with a free batch."""

    def forward(self, x):
        return torch.stack([row * (number + 1) for number, row in enumerate(x)])


class Sum(nn.Module):
    def forward(self, first, *others):
        return first + sum(others)


@dataclass
class Scored:
    scores: torch.Tensor
    boxes: torch.Tensor | None = None
    rest: tuple[torch.Tensor, ...] = ()


class ModelOutput(OrderedDict):
    """As transformers has it: a dictionary of a kind that torch does not know."""


class DictFed(nn.Module):
    def forward(self, batch):
        return batch["first"] - 2 * batch["second"]


class Flexible(nn.Module):
    def forward(self, first=None, second=None):
        return first if second is None else second * 2


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
    assert os.fsencode(Path(__file__).parent) not in content
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


def test_a_forward_may_take_any_number_of_inputs(tmp_path):
    export, model = convert(Sum(), "a:Nx4", "b:Nx4", "c:Nx4", path=tmp_path)
    assert [str(spec) for spec in model.signature.inputs] == [
        f"{name} float32 [N, 4]" for name in "abc"
    ]
    feeds = {name: np.full((3, 4), number, np.float32) for number, name in enumerate("abc")}
    assert_same(export, model, feeds)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda x: x * 2, ["output"]),
        (lambda x: (x + 1, x + 2), ["output_0", "output_1"]),
        (lambda x: [x + 1], ["output_0"]),
        (lambda x: {"logits": x + 1, "rest": [x + 2, None, x + 3]}, ["logits", "rest_0", "rest_2"]),
        (lambda x: Pair(x + 1, x + 2), ["scores", "boxes"]),
        (lambda x: {"b": x + 1, "a": {"c": x + 2, "d": x + 3}}, ["b", "a_c", "a_d"]),
        (lambda x: ModelOutput(logits=x + 1, states=(x + 2,)), ["logits", "states_0"]),
        (lambda x: Scored(x + 1, rest=(x + 2, x + 3)), ["scores", "rest_0", "rest_1"]),
        (
            lambda x: (Scored(x + 1, x + 2), x + 3),
            ["output_0_scores", "output_0_boxes", "output_1"],
        ),
        (lambda x: {"x": x + 1, "same": x}, ["output_x", "same"]),
        (lambda x: {"a_b": x + 1, "a": {"b": x + 2}}, ["a_b", "a_b_1"]),
        (lambda x: {"output_x": x + 1, "x": x + 2}, ["output_x", "output_x_1"]),
        (lambda x: {"label": x.argmax(1), "positive": x > 0}, ["label", "positive"]),
    ],
)
def test_outputs_are_named_by_the_module(make, names, tmp_path):
    export, model = convert(Named(make), "x:Nx4", path=tmp_path)
    assert [spec.name for spec in model.signature.outputs] == names
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    assert_same(export, model, {"x": x})


def test_a_module_may_take_a_dictionary(tmp_path):
    export, model = convert(DictFed(), "second:Nx4", "first:Nx4", path=tmp_path)
    assert [str(spec) for spec in model.signature.inputs] == [
        "second float32 [N, 4]",
        "first float32 [N, 4]",
    ]
    feeds = {
        name: np.full((3, 4), number, np.float32) for number, name in enumerate(["first", "second"])
    }
    assert_same(export, model, feeds)


def test_any_of_several_optional_inputs_will_do(tmp_path):
    export, model = convert(Flexible(), "second:Nx4", path=tmp_path)
    assert [spec.name for spec in model.signature.inputs] == ["second"]
    assert_same(export, model, {"second": np.ones((3, 4), np.float32)})


@pytest.mark.parametrize(
    ("dtype", "floats"),
    [(torch.bfloat16, "bfloat16"), (torch.float16, "float16"), (torch.float64, "float64")],
)
def test_a_module_in_another_float_type_becomes_float32(dtype, floats, tmp_path):
    module = TinyCnn().to(dtype)
    export, model = convert(module, "image:Nx1x6x6", path=tmp_path)
    assert [finding.code for finding in export.findings] == ["OQ158"]
    assert export.findings[0].evidence == {"floats": floats}
    assert str(model.signature.inputs[0]) == "image float32 [N, 1, 6, 6]"
    assert str(model.signature.outputs[0]) == "output float32 [N, 3]"
    assert (floats in export.tolerance.reason) is (floats != "float64")
    assert module.fc.weight.dtype is dtype
    expected = export.predict({"image": images(3)})["output"]
    found = open_predict(model.path)({"image": images(3)})["output"]
    assert expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=export.tolerance.largest)


def test_a_batch_that_cannot_be_free_is_fixed_and_said(tmp_path):
    export, model = convert(Unrolling(), "x:Nx4", path=tmp_path)
    assert model.signature.fixed_batch_rows == 1
    assert [finding.code for finding in export.findings] == ["OQ153"]
    assert export.findings[0].evidence == {"batch_rows": 1}
    assert "Unrolling" in export.findings[0].subject
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
        convert(Unrolling(), "x:Nx4", path=tmp_path)
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


@pytest.mark.slow
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
    weights_file = WeightsFile(str(shared / "models" / weights))
    net = call_factory(Factory(str(nets_file), function), ())
    opened = open_own(net, function, weights_file)
    declared = InputDeclaration("image", ("N", 3, side, side))
    export = opened.export((declared,), {}, tmp_path / "out.onnx")
    model = read_model(tmp_path / "out.onnx")
    x = np.random.default_rng(0).standard_normal((3, 3, side, side)).astype(np.float32)
    expected = export.predict({"image": x})["output"]
    found = open_predict(model.path)({"image": x})["output"]
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()))
    assert onnx.load(model.path).opset_import[0].version == 18


class MaskedAttention(nn.Module):
    """Fails on masks that are false everywhere, as nested tensors in nn.TransformerEncoder do."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.embed = nn.Embedding(20, 8)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens, mask):
        return self.head(self.encoder(self.embed(tokens), src_key_padding_mask=mask).mean(1))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_padding_mask_is_traced(tmp_path):
    declared = (
        InputDeclaration("tokens", ("N", 6), "int64", 0, 19),
        InputDeclaration("mask", ("N", 6), "bool"),
    )
    export = convert_module(MaskedAttention().eval(), declared, tmp_path / "m.onnx")
    assert export.traced_rows == 2


def test_rows_of_the_user_are_traced_with(tmp_path):
    class Picky(nn.Module):
        def forward(self, x):
            torch._check(x.shape[0] == 2)  # noqa: SLF001 - what exporters understand
            return torch.log(x)

    rows = {"x": np.full((5, 3), 7.0, np.float32)}
    seen = []
    module = Picky().eval()
    module.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs or args),
                                     with_kwargs=True)  # fmt: skip
    declared = (InputDeclaration("x", (2, 3)),)
    convert_module(module, declared, tmp_path / "p.onnx", rows)
    assert float(seen[0]["x"].max()) == 7.0
