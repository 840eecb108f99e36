"""MobileNetV2 and MobileNetV3-Small in plain PyTorch, with seeded random weights.

M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018
(arXiv:1801.04381), table 2; A. Howard et al., "Searching for MobileNetV3", 2019
(arXiv:1905.02244), table 2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 1000
SEED = 0

_EPSILON = 1e-3
"""Of batch normalization, as in the authors' own code."""

V2_ROWS = (
    # expansion, channels, repeats, stride of the first: t, c, n, s of table 2
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

V3_SMALL_ROWS = (
    # kernel, expanded channels, channels, squeeze-and-excite, hard-swish, stride: table 2
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


@dataclass(frozen=True)
class Bottleneck:
    """One inverted residual block.

    Attributes:
        channels_in: Channels that come in.
        expanded: Channels of the depthwise convolution.
        channels_out: Channels that go out.
        kernel: Of the depthwise convolution.
        stride: Of the depthwise convolution.
        excites: Whether its channels are weighed by squeeze-and-excite.
        activation: Makes the nonlinearity.
    """

    channels_in: int
    expanded: int
    channels_out: int
    kernel: int
    stride: int
    excites: bool
    activation: Callable[[], nn.Module]


def convolve(
    channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Make a padded convolution without bias, followed by batch normalization."""
    padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False),
        # Without a momentum, the statistics are the plain mean of all batches: of the one below.
        nn.BatchNorm2d(channels_out, _EPSILON, momentum=None),
    )


class SqueezeExcite(nn.Module):
    """Weigh channels by what their means say (J. Hu et al., 2017; section 5.3 of MobileNetV3).

    Args:
        channels: Channels that come in and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = round_to_eight(channels // 4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )
        for layer in self.gate.modules():
            if isinstance(layer, nn.Conv2d):
                # Random gates that open wide feed on themselves and blow rounding up.
                nn.init.normal_(layer.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels, H, W]`` to the same shape."""
        return x * self.gate(x)  # type: ignore[no-any-return]


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter depthwise, project by 1x1 without a nonlinearity.

    Args:
        how: The block; there is a shortcut where the shape stays.
    """

    def __init__(self, how: Bottleneck) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if how.expanded != how.channels_in:
            layers += [convolve(how.channels_in, how.expanded), how.activation()]
        layers += [
            convolve(how.expanded, how.expanded, how.kernel, how.stride, groups=how.expanded),
            how.activation(),
        ]
        if how.excites:
            # MobileNetV3 weighs the channels behind the nonlinearity; so do its authors' models.
            layers.append(SqueezeExcite(how.expanded))
        layers.append(convolve(how.expanded, how.channels_out))
        self.branch = nn.Sequential(*layers)
        self.has_shortcut = how.stride == 1 and how.channels_in == how.channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels_in, H, W]`` to ``[N, channels_out, H / stride, W / stride]``."""
        y = self.branch(x)
        return x + y if self.has_shortcut else y  # type: ignore[no-any-return]


class MobileNet(nn.Module):
    """Convolutions, the mean over the image, and a classifier.

    Args:
        features: From images to channels.
        classifier: From the channels' means to logits.
    """

    def __init__(self, features: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Map images ``[N, 3, 224, 224]`` to logits ``[N, 1000]``; other sizes work as well."""
        return self.classifier(self.features(image).mean(dim=(2, 3)))  # type: ignore[no-any-return]


def mobilenet_v2() -> MobileNet:
    """Make MobileNetV2 (3.50 million parameters)."""
    return _seeded(_make_v2)


def mobilenet_v3_small() -> MobileNet:
    """Make MobileNetV3-Small (2.54 million parameters)."""
    return _seeded(_make_v3_small)


def build() -> MobileNet:
    """Make the older of the two, :func:`mobilenet_v2`."""
    return mobilenet_v2()


def _seeded(make: Callable[[], MobileNet]) -> MobileNet:
    """Draw weights, and let noise on eight colours pass, so that all layers have a sane scale."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        net = make().train()
        net(torch.randn(8, 3, 1, 1) + torch.randn(8, 3, 96, 96))
    return net.eval()


def _make_v2() -> MobileNet:
    layers: list[nn.Module] = [convolve(3, 32, 3, 2), nn.ReLU6()]
    channels = 32
    for expansion, width, repeats, stride in V2_ROWS:
        for position in range(repeats):
            step = stride if position == 0 else 1
            how = Bottleneck(channels, expansion * channels, width, 3, step, False, nn.ReLU6)
            layers.append(InvertedResidual(how))
            channels = width
    layers += [convolve(channels, 1280), nn.ReLU6()]
    classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, CLASSES))
    return MobileNet(nn.Sequential(*layers), classifier)


def _make_v3_small() -> MobileNet:
    layers: list[nn.Module] = [convolve(3, 16, 3, 2), nn.Hardswish()]
    channels = 16
    for kernel, expanded, width, excites, is_hard_swish, stride in V3_SMALL_ROWS:
        activation = nn.Hardswish if is_hard_swish else nn.ReLU
        how = Bottleneck(channels, expanded, width, kernel, stride, excites, activation)
        layers.append(InvertedResidual(how))
        channels = width
    layers += [convolve(channels, 576), nn.Hardswish()]
    classifier = nn.Sequential(
        nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, CLASSES)
    )
    return MobileNet(nn.Sequential(*layers), classifier)


def round_to_eight(channels: float) -> int:
    """Round to a multiple of 8, at least 8 and never below nine tenths of what was given."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
