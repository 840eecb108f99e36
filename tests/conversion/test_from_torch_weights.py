"""Weights of PyTorch modules: what is loaded, and what is refused in words."""

import json
import pickle
import struct

import pytest

from onnxq.errors import SourceError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after the skip

from onnxq.conversion.from_torch_safetensors import read_safetensors  # noqa: E402 - after the skip
from onnxq.conversion.from_torch_weights import load_weights, strip_wrappers  # noqa: E402

pytestmark = pytest.mark.torch


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Linear(4, 3)
        self.bn = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.bn(self.features(x))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.embed(x))


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
def test_weights_are_found_and_loaded(saved, codes, is_zip, tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(saved, file, _use_new_zipfile_serialization=is_zip)
    module = Net()
    findings = load_weights(module, file)
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
def test_weights_that_do_not_fit_say_why(saved, code, words, tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(saved, file)
    with pytest.raises(SourceError) as caught:
        load_weights(Net(), file)
    assert caught.value.code == code
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("cut", [40, 700])
def test_a_truncated_checkpoint_is_said(cut, tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(trained(), file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(SourceError) as caught:
        load_weights(Net(), file)
    assert caught.value.code == "OQ104"


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("the pickle ran",))


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_checkpoint_does_not_run(is_zip, tmp_path):
    file = tmp_path / "weights.pt"
    saved = {"features.weight": Payload()}
    torch.save(saved, file, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(SourceError) as caught:
        load_weights(Net(), file)
    assert caught.value.code == "OQ109"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_a_plain_pickle_is_not_a_checkpoint(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(pickle.dumps({"w": Payload()}))
    with pytest.raises(SourceError):
        load_weights(Net(), file)


def test_a_modules_own_prefix_stays():
    weights = {"module.weight": torch.ones(1)}
    assert strip_wrappers(weights, frozenset({"module.weight"})) == weights
    assert list(strip_wrappers(weights, frozenset({"weight"}))) == ["weight"]


# safetensors


def safetensors(tensors, metadata=None):
    """Lay tensors out as the specification says; bfloat16 as its bits."""
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
             torch.int64: "I64", torch.bool: "BOOL"}  # fmt: skip
    header, data = ({} if metadata is None else {"__metadata__": metadata}), b""
    for name, tensor in tensors.items():
        raw = (
            tensor.contiguous().view(torch.uint8).numpy().tobytes()
            if tensor.ndim
            else bytes(tensor.reshape(1).view(torch.uint8).numpy())
        )
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    return framed(header, data)


def framed(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_safetensors_are_read_bit_for_bit(dtype, tmp_path):
    file = tmp_path / "w.safetensors"
    tensors = {
        "a.weight": torch.arange(6).reshape(2, 3).to(dtype),
        "scalar": torch.tensor(7).to(dtype),
        "empty": torch.zeros(0, 3, dtype=dtype),
        "b": torch.tensor([True, False]),
    }
    file.write_bytes(safetensors(tensors, {"format": "pt"}))
    found = read_safetensors(file)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    found["b"][0] = False
    assert torch.equal(read_safetensors(file)["b"], tensors["b"])


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_safetensors_are_loaded(prefix, tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(safetensors(wrapped(prefix)))
    module = Net()
    assert load_weights(module, file) == ()
    torch.testing.assert_close(module.features.weight, trained()["features.weight"])
    torch.testing.assert_close(module.bn.running_var, trained()["bn.running_var"])


def test_half_weights_go_into_a_float_module(tmp_path):
    file = tmp_path / "w.safetensors"
    half = {name: t.bfloat16() if t.is_floating_point() else t for name, t in trained().items()}
    file.write_bytes(safetensors(half))
    module = Net()
    load_weights(module, file)
    assert module.features.weight.dtype is torch.float32
    torch.testing.assert_close(module.features.weight, half["features.weight"].float())


def test_a_tied_weight_need_not_be_there_twice(tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(safetensors({"embed.weight": torch.arange(24.0).reshape(6, 4)}))
    module = Tied()
    load_weights(module, file)
    assert module.head.weight[5, 3] == 23
    file.write_bytes(safetensors({"other": torch.ones(6, 4)}))
    with pytest.raises(SourceError, match="missing 2 of 2"):
        load_weights(module, file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (framed({"w": entry([2], 0, 8)}, b"1234"), "does not lie|take 8 bytes, found 4"),
        (framed({"w": entry([2], 0, 8)}, bytes(12)), "take 8 bytes, found 12"),
        (framed({"w": entry([2], 4, 12)}, bytes(12)), "does not lie"),
        (framed({"v": entry([2], 0, 8), "w": entry([2], 4, 12)}, bytes(12)), "does not lie"),
        (framed({"w": entry([3], 0, 8)}, bytes(8)), "does not lie"),
        (framed({"w": entry([-2], 0, -8)}), "does not lie"),
        (framed({"w": entry([-1, -2], 0, 8)}, bytes(8)), "does not lie"),
        (framed({"w": entry([2], 0, 1, "F4")}, bytes(1)), "of F4, which PyTorch lacks"),
        (framed({"w": {"dtype": "F32"}}), "header cannot be read"),
        (framed({"w": 3}), "header cannot be read"),
        (framed(b"{broken}"), "header cannot be read"),
        (framed({"w": entry([2], 0, 8)}, bytes(8))[:20], "header should take"),
        (struct.pack("<Q", 2**62) + b"{}", "header should take"),
        (b"\x01", "header should take"),
    ],
)
def test_damaged_safetensors_are_said(content, words, tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        read_safetensors(file)
    assert caught.value.code == "OQ104"
