"""Train models/digits_resnet_torch on the digits' training rows and write its weights.

    python scripts/train/digits_resnet_torch.py [FOLDER]

About a minute on two cores. Seeds, threads and algorithms are fixed, so that the same version
of PyTorch on the same kind of CPU writes the same weights.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.digits import digits_rows
from models.digits_resnet_torch.net import DigitsResNet, build

FOLDER = Path(__file__).resolve().parents[2] / "models" / "digits_resnet_torch"
SEED = 0
EPOCHS = 20
BATCH_ROWS = 32
LARGEST_RATE = 4e-3
MOST_SHIFT_PIXELS = 2
LEAST_ACCURACY = 0.97


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to two pixels along both axes; what comes in is paper."""
    pad = MOST_SHIFT_PIXELS
    padded = nn.functional.pad(images, (pad, pad, pad, pad))
    moves = torch.randint(0, 2 * pad + 1, (len(images), 2), generator=generator).tolist()
    side = images.shape[-1]
    return torch.stack(
        [
            row[:, down : down + side, right : right + side]
            for row, (down, right) in zip(padded, moves, strict=True)
        ]
    )


def train(images: Tensor, labels: Tensor) -> DigitsResNet:
    """Train on all of the rows given; the learning rate follows one cycle."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    net = build().train()
    steps = EPOCHS * (len(labels) // BATCH_ROWS)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LARGEST_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LARGEST_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(labels), generator=generator)
        for batch in order.split(BATCH_ROWS)[: len(labels) // BATCH_ROWS]:
            logits = net(shift(images[batch], generator))
            loss = nn.functional.cross_entropy(logits, labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1:2d} of {EPOCHS}: loss {loss.item():.4f}", flush=True)
    return net.eval()


def accuracy(net: DigitsResNet, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the share of rows whose largest logit is their label's."""
    with torch.inference_mode():
        return float(np.mean(net(torch.from_numpy(images)).argmax(1).numpy() == labels))


def main() -> None:
    """Train, judge on the evaluation rows, and write the state dict."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(mode=True)
    images, labels, is_training = digits_rows()
    images = images[:, np.newaxis]
    start = time.monotonic()
    net = train(torch.from_numpy(images[is_training]), torch.from_numpy(labels[is_training]))
    score = accuracy(net, images[~is_training], labels[~is_training])
    parameters = sum(p.numel() for p in net.parameters())
    print(f"{parameters} parameters, {time.monotonic() - start:.0f} s, top-1 {score:.2%}")
    if score < LEAST_ACCURACY:
        sys.exit(f"top-1 {score:.2%} is below {LEAST_ACCURACY:.0%}: nothing was written")
    torch.save(net.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    main()
