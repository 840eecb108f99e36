"""What the two ways of quantization-aware training in PyTorch have in common."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from feeds import Order, load_feeds
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))
import nets

STEPS = 4
_RATE = 1e-5


@dataclass(frozen=True)
class Lesson:
    """What is trained, and on what.

    Attributes:
        teacher: The float network, whose outputs are the target.
        names: Of its inputs.
        batches: A tuple of inputs each.
    """

    teacher: nn.Module
    names: tuple[str, ...]
    batches: list[tuple[Tensor, ...]]


def lesson_of(order: Order, batch_rows: int) -> Lesson:
    """Prepare the training of a network of nets.py; the output file's name says which.

    The ONNX model only says what the inputs are called.
    """
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    graph = onnx.load(order.model, load_external_data=False).graph
    names = tuple(entry.name for entry in graph.input)
    feeds = load_feeds(order.rows, names, STEPS * batch_rows)
    batches = [
        tuple(
            torch.from_numpy(np.concatenate([feed[name] for feed in feeds[at : at + batch_rows]]))
            for name in names
        )
        for at in range(0, len(feeds), batch_rows)
    ]
    return Lesson(getattr(nets, order.out.stem)(), names, batches)


def train(student: Callable[..., Tensor], parameters: list[nn.Parameter], lesson: Lesson) -> None:
    """Pull the student's outputs to the teacher's, one step a batch."""
    optimizer = torch.optim.SGD(parameters, lr=_RATE)
    for batch in lesson.batches:
        with torch.no_grad():
            wanted = lesson.teacher(*batch)
        optimizer.zero_grad()
        nn.functional.mse_loss(student(*batch), wanted).backward()
        optimizer.step()
