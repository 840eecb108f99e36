"""PyTorch definitions for the acceptance list; the third-party weights lie elsewhere."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions; where the shape changes, the shortcut has no weights.

    It is option A of He et al. (2016), section 4.2: every second pixel, and channels of zeros
    added in equal parts before and behind.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.added_channels = channels_out - channels_in

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.added_channels:
            half = self.added_channels // 2
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return torch.relu(y + x)


class _CifarResNet(nn.Module):
    """The CIFAR-10 network of He et al. (2016): three stages of 16, 32 and 64 channels."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, 1)
        self.layer2 = _stage(16, 32, blocks, 2)
        self.layer3 = _stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Map normalised images ``[N, 3, 32, 32]`` to logits ``[N, 10]``."""
        x = torch.relu(self.bn1(self.conv1(image)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


class _Fire(nn.Module):
    """Iandola et al. (2016), "SqueezeNet", section 3.2: squeeze to few channels, expand twice."""

    def __init__(self, channels_in: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class _SqueezeNet(nn.Module):
    """SqueezeNet 1.0; names of layers as in torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, stride=2),
            nn.ReLU(),
            _pool(),
            _Fire(96, 16, 64),
            _Fire(128, 16, 64),
            _Fire(128, 32, 128),
            _pool(),
            _Fire(256, 32, 128),
            _Fire(256, 48, 192),
            _Fire(384, 48, 192),
            _Fire(384, 64, 256),
            _pool(),
            _Fire(512, 64, 256),
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        """Map BGR images ``[N, 3, 227, 227]``, mean removed, to logits ``[N, 1000]``."""
        x = self.classifier(self.features(image))
        return x.mean(dim=(2, 3))  # type: ignore[no-any-return]


class _Towers(nn.Module):
    """Vectors and images meet; names of inputs and outputs are in no alphabetical order."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Linear(16, 32)
        self.image = nn.Conv2d(3, 8, 3)
        self.score = nn.Linear(40, 4)
        self.again = nn.Linear(40, 16)

    def forward(self, zeta: Tensor, alpha: Tensor) -> dict[str, Tensor]:
        """Map ``[N, 16]`` and ``[N, 3, 12, 12]`` to ``score`` ``[N, 4]``, ``again`` ``[N, 16]``."""
        seen = torch.relu(self.image(alpha)).mean(dim=(2, 3))
        both = torch.cat([functional.gelu(self.vector(zeta)), seen], 1)
        return {"score": self.score(both), "again": self.again(both)}


def resnet20() -> nn.Module:
    """Make ResNet-20 for 32x32 images, without weights."""
    return _CifarResNet(blocks=3)


def resnet32() -> nn.Module:
    """Make ResNet-32 for 32x32 images, without weights."""
    return _CifarResNet(blocks=5)


def resnet56() -> nn.Module:
    """Make ResNet-56 for 32x32 images, without weights."""
    return _CifarResNet(blocks=9)


def towers() -> nn.Module:
    """Make a small network with two inputs and two named outputs, with seeded random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _Towers().eval()


def squeezenet1_0() -> nn.Module:
    """Make SqueezeNet 1.0 with ceil-mode pools, without weights."""
    return _SqueezeNet()


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    first = _BasicBlock(channels_in, channels_out, stride)
    return nn.Sequential(
        first, *(_BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1))
    )


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
