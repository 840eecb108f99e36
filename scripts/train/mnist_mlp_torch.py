"""Train models/mnist_mlp_torch on MNIST, which lies in ../shared. Takes half a minute.

Usage: python scripts/train/mnist_mlp_torch.py [FOLDER]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torch_training import Training, train_and_write

from models.mnist import mnist_rows
from models.mnist_mlp_torch.net import build

if __name__ == "__main__":
    train_and_write(
        "mnist_mlp_torch",
        build,
        {part: mnist_rows(part) for part in ("train", "test")},
        Training(epochs=12, largest_rate=4e-3, batch_rows=128),
        least=0.975,
    )
