"""ResNet-18 and ResNet-50 in plain PyTorch, with seeded random weights.

K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", 2015
(arXiv:1512.03385), table 1. As is common since, the stride of a bottleneck block is that of its
3x3 convolution.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CLASSES = 1000
SEED = 0


def convolve(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Make a padded convolution without bias, followed by batch normalization."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        # Without a momentum, the statistics are the plain mean of all batches: of the one below.
        nn.BatchNorm2d(channels_out, momentum=None),
    )


class Block(nn.Module):
    """A branch beside a shortcut, which is a 1x1 convolution where the shape changes.

    Args:
        branch: Without its last ReLU.
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        stride: Of the whole branch.
    """

    def __init__(self, branch: nn.Module, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.branch = branch
        changes = stride != 1 or channels_in != channels_out
        self.shortcut = convolve(channels_in, channels_out, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels_in, H, W]`` to ``[N, channels_out, H / stride, W / stride]``."""
        return torch.relu(self.branch(x) + self.shortcut(x))


def make_basic(channels_in: int, width: int, stride: int) -> Block:
    """Make the block of ResNet-18: two 3x3 convolutions (figure 5, left)."""
    branch = nn.Sequential(
        convolve(channels_in, width, 3, stride), nn.ReLU(), convolve(width, width, 3)
    )
    return Block(branch, channels_in, width, stride)


def make_bottleneck(channels_in: int, width: int, stride: int) -> Block:
    """Make the block of ResNet-50: 1x1, 3x3 and 1x1 convolutions (figure 5, right)."""
    branch = nn.Sequential(
        convolve(channels_in, width, 1),
        nn.ReLU(),
        convolve(width, width, 3, stride),
        nn.ReLU(),
        convolve(width, 4 * width, 1),
    )
    return Block(branch, channels_in, 4 * width, stride)


class ResNet(nn.Module):
    """A stem, four stages of blocks, the mean over the image, and one linear layer.

    Args:
        blocks: How many blocks each stage has.
        is_deep: Bottleneck blocks rather than basic ones.
    """

    def __init__(self, blocks: Sequence[int], *, is_deep: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolve(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        make, growth = (make_bottleneck, 4) if is_deep else (make_basic, 1)
        stages: list[Block] = []
        channels = 64
        for stage, count in enumerate(blocks):
            width = 64 * 2**stage
            for position in range(count):
                starts_smaller = stage > 0 and position == 0
                stages.append(make(channels, width, 2 if starts_smaller else 1))
                channels = growth * width
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Map images ``[N, 3, 224, 224]`` to logits ``[N, 1000]``; other sizes work as well."""
        x = self.stages(self.stem(image))
        return self.classifier(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def resnet18() -> ResNet:
    """Make ResNet-18 (11.69 million parameters)."""
    return _seeded((2, 2, 2, 2), is_deep=False)


def resnet50() -> ResNet:
    """Make ResNet-50 (25.56 million parameters)."""
    return _seeded((3, 4, 6, 3), is_deep=True)


def build() -> ResNet:
    """Make the smaller of the two, :func:`resnet18`."""
    return resnet18()


def _seeded(blocks: Sequence[int], *, is_deep: bool) -> ResNet:
    """Draw weights, and let noise on eight colours pass, so that all layers have a sane scale."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        net = ResNet(blocks, is_deep=is_deep).train()
        net(torch.randn(8, 3, 1, 1) + torch.randn(8, 3, 96, 96))
    return net.eval()
