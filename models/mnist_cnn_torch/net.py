"""A convolutional network for MNIST in PyTorch, of the size that tutorials use.

Two convolutions of 32 and 64 channels, one pooling, two linear layers: after Y. LeCun et al.,
"Gradient-Based Learning Applied to Document Recognition", 1998, with ReLU and more channels.
"""

import torch
from torch import nn

SEED = 0
CLASSES = 10


def build() -> nn.Sequential:
    """Make the network with seeded random weights (1.2 million parameters).

    Returns:
        A module from images ``[N, 1, 28, 28]`` to logits ``[N, 10]``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 12 * 12, 128),
            nn.ReLU(),
            nn.Linear(128, CLASSES),
        )
    return net.eval()
