"""Quantization-aware training by torchao's PT2E, exported by PyTorch's own ONNX exporter.

``x86`` is its quantizer for x86 (uint8 activations), ``xnnpack`` that for XNNPACK (int8 ones).
"""

import copy

import torch
from feeds import order_of
from torch import nn
from torch_training import Lesson, lesson_of, train
from torchao.quantization.pt2e import move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import Quantizer
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
from torchao.testing.pt2e import _xnnpack_quantizer as xnnpack


def quantizer_of(style: str) -> Quantizer:
    """Return the quantizer that a style names, per channel and for training."""
    if style == "x86":
        config = x86.get_default_x86_inductor_quantization_config(is_qat=True)
        return x86.X86InductorQuantizer().set_global(config)
    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
    return xnnpack.XNNPACKQuantizer().set_global(config)


def train_pt2e(lesson: Lesson, style: str) -> nn.Module:
    """Train, and convert."""
    exported = torch.export.export(copy.deepcopy(lesson.teacher), lesson.batches[0]).module()
    student = prepare_qat_pt2e(exported, quantizer_of(style))
    train(student, list(student.parameters()), lesson)
    move_exported_model_to_eval(student)
    return convert_pt2e(student)


order = order_of(__doc__, ("x86", "xnnpack"))
lesson = lesson_of(order, batch_rows=1)  # its export fixes the batch
torch.onnx.export(
    train_pt2e(lesson, order.style),
    lesson.batches[0],
    order.out,
    dynamo=True,
    opset_version=18,
    input_names=list(lesson.names),
    output_names=["output"],
    external_data=False,
    verbose=False,
)
