"""The two-layer perceptron for MNIST: 784-128-10."""

import torch
from torch import Tensor, nn


class MnistMlp(nn.Module):
    """A hidden layer of 128 with ReLU, and one of ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(28 * 28, 128)
        self.classifier = nn.Linear(128, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Map images ``[N, 28, 28]`` in 0..1 to the logits of ten digits ``[N, 10]``."""
        hidden = torch.relu(self.hidden(image.flatten(1)))
        return self.classifier(hidden)  # type: ignore[no-any-return]


def build() -> MnistMlp:
    """Make the network without its trained weights.

    Returns:
        The network; ``weights.pt`` beside this file fits it.
    """
    return MnistMlp()
