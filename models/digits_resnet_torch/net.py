"""A small residual network for 28x28 grey images of digits."""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., 2016, "Deep Residual Learning").

    Args:
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        stride: Of the first convolution; the shortcut is a 1x1 convolution where the shape
            changes, else the input itself.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels_in, H, W]`` to ``[N, channels_out, H / stride, W / stride]``."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class DigitsResNet(nn.Module):
    """A stem, three residual blocks of 32, 48 and 64 channels, and one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(32)
        self.blocks = nn.Sequential(
            ResidualBlock(32, 32, 1), ResidualBlock(32, 48, 2), ResidualBlock(48, 64, 2)
        )
        self.classifier = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Map images ``[N, 1, 28, 28]`` in 0..1 to the logits of ten digits ``[N, 10]``."""
        x = torch.relu(self.bn(self.stem(image)))
        x = self.blocks(x)
        return self.classifier(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def build() -> DigitsResNet:
    """Make the network without its trained weights.

    Returns:
        The network; ``weights.pt`` beside this file fits it.
    """
    return DigitsResNet()
