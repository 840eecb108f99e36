"""What the scripts that train PyTorch classifiers share: seeds, the loop, the score, the file."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

MODELS = Path(__file__).resolve().parents[2] / "models"

Rows = tuple[NDArray[np.generic], NDArray[np.int64]]
"""What a network takes, and the class of each row."""


@dataclass(frozen=True)
class Training:
    """How a classifier is trained.

    Attributes:
        epochs: Times that every row is seen.
        largest_rate: The peak of the learning rate, which follows one cycle.
        weight_decay: Of AdamW.
        label_smoothing: Share of a label that is spread over all classes.
        batch_rows: Rows of one step.
        seed: Of the first weights, the order of the rows and the dropout.
    """

    epochs: int
    largest_rate: float
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    batch_rows: int = 64
    seed: int = 0


def train(build: Callable[[], nn.Module], rows: Rows, how: Training) -> nn.Module:
    """Train a fresh network; the same version of PyTorch on the same kind of CPU repeats it.

    Args:
        build: Makes the network; called once the seed is set.
        rows: All of them are trained on.
        how: The settings.

    Returns:
        The network, in evaluation mode.
    """
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(how.seed)
    net = build().train()
    inputs, labels = (torch.from_numpy(array) for array in rows)
    steps = how.epochs * -(-len(labels) // how.batch_rows)
    optimizer = torch.optim.AdamW(net.parameters(), how.largest_rate, weight_decay=how.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how.largest_rate, total_steps=steps)
    measure = nn.CrossEntropyLoss(label_smoothing=how.label_smoothing)
    for epoch in range(how.epochs):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(how.batch_rows):
            optimizer.zero_grad()
            loss = measure(net(inputs[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1:2d} of {how.epochs}: loss {total / len(labels):.4f}", flush=True)
    return net.eval()


def accuracy(net: nn.Module, rows: Rows) -> float:
    """Return the share of rows whose largest logit is their label's."""
    inputs, labels = rows
    with torch.inference_mode():
        return float(np.mean(net(torch.from_numpy(inputs)).argmax(1).numpy() == labels))


def train_and_write(
    name: str, build: Callable[[], nn.Module], rows: dict[str, Rows], how: Training, least: float
) -> None:
    """Train, print the score on each part but ``train``, and write the state dict.

    Args:
        name: The folder in models/, where the first argument of the script names no other.
        build: Makes the network.
        rows: By part; ``train`` is trained on, and the last part judges.
        how: The settings.
        least: Where the last part's top-1 is below this, nothing is written.
    """
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else MODELS / name
    start = time.monotonic()
    net = train(build, rows["train"], how)
    parameters = sum(p.numel() for p in net.parameters())
    print(f"{name}: {parameters} parameters, {time.monotonic() - start:.0f} s")
    scores = {part: accuracy(net, of_part) for part, of_part in rows.items()}
    for part, score in scores.items():
        print(f"top-1 on {part}: {score:.2%} of {len(rows[part][1])} rows")
    score = list(scores.values())[-1]
    if score < least:
        sys.exit(f"{score:.2%} is below {least:.0%}: nothing was written")
    torch.save(net.state_dict(), folder / "weights.pt")
