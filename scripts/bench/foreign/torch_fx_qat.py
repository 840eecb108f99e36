"""Quantization-aware training by torch.ao's FX graphs, exported by the TorchScript exporter.

``fake`` exports the fake quantization that was trained: float weights behind QuantizeLinear, and a
Div and a BatchNormalization behind every convolution, since FX trains BatchNorm along. ``folded``
folds BatchNorm before training, which leaves nothing between a convolution and its ReLU.
``converted`` exports what FX makes of a trained net: int8 weights, ReLUs absorbed.
"""

import copy
from dataclasses import replace

import torch
from feeds import order_of
from torch import nn
from torch.ao.quantization import (
    FakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    QConfig,
    QConfigMapping,
    disable_observer,
)
from torch.ao.quantization.quantize_fx import convert_fx, prepare_qat_fx
from torch.fx.experimental.optimization import fuse
from torch_training import Lesson, lesson_of, train

# The fused fake quantization of the default configuration has no ONNX operator.
CONFIG = QConfig(
    activation=FakeQuantize.with_args(
        observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=torch.quint8
    ),
    weight=FakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver,
        quant_min=-128,
        quant_max=127,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    ),
)


def train_fx(lesson: Lesson) -> nn.Module:
    """Train, and fix the ranges; BatchNorm keeps the statistics that it was settled with."""
    torch.backends.quantized.engine = "x86"
    student = prepare_qat_fx(
        copy.deepcopy(lesson.teacher).train(),
        QConfigMapping().set_global(CONFIG),
        lesson.batches[0],
    )
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    train(student, list(student.parameters()), lesson)
    student.eval().apply(disable_observer)
    return student


order = order_of(__doc__, ("fake", "folded", "converted"))
lesson = lesson_of(order, batch_rows=4)
if order.style == "folded":
    lesson = replace(lesson, teacher=fuse(lesson.teacher))
student = train_fx(lesson)
torch.onnx.export(
    convert_fx(student) if order.style == "converted" else student,
    tuple(tensor[:1] for tensor in lesson.batches[0]),
    order.out,
    dynamo=False,
    opset_version=17,
    input_names=list(lesson.names),
    output_names=["output"],
    dynamic_axes={name: {0: "N"} for name in (*lesson.names, "output")},
)
