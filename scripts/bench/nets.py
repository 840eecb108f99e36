"""Networks of models/ as benchmarks want them: random weights, settled BatchNorm statistics.

Random weights alone let activations drift from layer to layer; after a few batches in training
mode every BatchNorm knows its mean and variance, and activations have the spread that they have
in a trained net. Latency, memory and what calibrating costs are representative then; accuracy
does not exist.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

MODELS = Path(__file__).parents[2] / "models"
_BATCHES = 8
_BATCH_ROWS = 4
_PIXELS = 224


def resnet18() -> nn.Module:
    """ResNet-18, settled."""
    net: nn.Module = _load("resnet_torch").resnet18()
    return _settled(net)


def resnet50() -> nn.Module:
    """ResNet-50, settled."""
    net: nn.Module = _load("resnet_torch").resnet50()
    return _settled(net)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2, settled."""
    net: nn.Module = _load("mobilenet_torch").mobilenet_v2()
    return _settled(net)


def mobilenet_v3_small() -> nn.Module:
    """MobileNetV3-Small, settled."""
    net: nn.Module = _load("mobilenet_torch").mobilenet_v3_small()
    return _settled(net)


def bert_small() -> nn.Module:
    """BERT-small; it has no BatchNorm to settle."""
    net: nn.Module = _load("transformers_torch").bert_small()
    return net.eval()


def vit_s() -> nn.Module:
    """ViT-S/16; it has no BatchNorm to settle."""
    net: nn.Module = _load("transformers_torch").vit_s()
    return net.eval()


def lstm_tagger() -> nn.Module:
    """Two bidirectional LSTM layers."""
    net: nn.Module = _load("taggers_torch").lstm_tagger()
    return net.eval()


def gru_tagger() -> nn.Module:
    """Two bidirectional GRU layers."""
    net: nn.Module = _load("taggers_torch").gru_tagger()
    return net.eval()


def mnist_cnn() -> nn.Module:
    """Two convolutions and two linear layers."""
    net: nn.Module = _load("mnist_cnn_torch").build()
    return net.eval()


def mnist_mlp() -> nn.Module:
    """Two linear layers."""
    net: nn.Module = _load("mnist_mlp_torch").build()
    return net.eval()


def _load(folder: str) -> ModuleType:
    path = MODELS / folder / "net.py"
    spec = importlib.util.spec_from_file_location(f"bench_{folder}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _settled(net: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over all batches
            module.reset_running_stats()
    net.train()
    with torch.no_grad():
        for _ in range(_BATCHES):
            net(torch.randn(_BATCH_ROWS, 3, _PIXELS, _PIXELS, generator=generator))
    return net.eval()
