"""UltraFace's two detectors, slim-320 and RFB-320, for the weights of ``$ONNXQ_SHARED``.

Written from what their published ONNX files compute: both give scores and boxes of 4420 anchors.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTH, HEIGHT = 320, 240
STRIDES = (8, 16, 32, 64)
ANCHORS = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
"""Side lengths in pixels, by stride."""

CHANNELS = (64, 128, 256, 256)
_ENDS = (8, 11, 13)
"""Where the first three of the four maps leave the base network."""

_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2


class ConvNorm(nn.Module):
    """A convolution without bias, and batch normalization; names as in the state dict."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, padding=padding, dilation=dilation, bias=False
        )
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, channels_in, H, W]`` to ``[N, channels_out, H, W]``."""
        return self.bn(self.conv(x))  # type: ignore[no-any-return]


class ReceptiveField(nn.Module):
    """Three branches of dilated convolutions beside a shortcut (S. Liu et al., 2018, RFB)."""

    def __init__(self) -> None:
        super().__init__()
        self.branch0 = _dilated((8, 16), 2)
        self.branch1 = _dilated((8, 16), 3)
        self.branch2 = _dilated((8, 12, 16), 5)
        self.ConvLinear = ConvNorm(48, 64, 1)
        self.shortcut = ConvNorm(64, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 64, H, W]`` to the same shape."""
        seen = torch.cat([self.branch0(x), self.branch1(x), self.branch2(x)], 1)
        return torch.relu(self.ConvLinear(seen) + self.shortcut(x))


class Branch(nn.Sequential):
    """Layers in a row, with a ReLU behind all but the first and the last."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 64, H, W]`` to ``[N, 16, H, W]``."""
        layers = list(self)
        x = layers[0](x)
        for layer in layers[1:-1]:
            x = torch.relu(layer(x))
        return layers[-1](x)  # type: ignore[no-any-return]


class UltraFace(nn.Module):
    """A MobileNet, four maps of features, and for each anchor two scores and a box.

    Args:
        seventh: The block at index 7 of the base network: it is what the two sizes differ in.
    """

    def __init__(self, seventh: nn.Module) -> None:
        super().__init__()
        self.base_net = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(_depthwise(*sizes) for sizes in ((16, 32, 1), (32, 32, 2), (32, 32, 1))),
            *(_depthwise(*sizes) for sizes in ((32, 64, 2), (64, 64, 1), (64, 64, 1))),
            seventh,
            *(_depthwise(*sizes) for sizes in ((64, 128, 2), (128, 128, 1), (128, 128, 1))),
            *(_depthwise(*sizes) for sizes in ((128, 256, 2), (256, 256, 1))),
        )
        self.extras = nn.ModuleList([
            nn.Sequential(nn.Conv2d(256, 64, 1), nn.ReLU(), _separable(64, 256, 2), nn.ReLU())
        ])  # fmt: skip
        self.classification_headers = _heads(2)
        self.regression_headers = _heads(4)
        self.anchors: Tensor
        self.register_buffer("anchors", _anchors(), persistent=False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Find faces.

        Args:
            image: ``[N, 3, 240, 320]``, RGB, (x - 127) / 128.

        Returns:
            ``scores`` ``[N, 4420, 2]`` and ``boxes`` ``[N, 4420, 4]``: left, top, right and
            bottom as shares of the image.
        """
        maps = self.maps(image)
        scores = torch.cat([_by_anchor(h(x), 2) for h, x in self._pairs(0, maps)], 1)
        offsets = torch.cat([_by_anchor(h(x), 4) for h, x in self._pairs(1, maps)], 1)
        anchors = self.anchors
        centres = offsets[..., :2] * _CENTRE_VARIANCE * anchors[:, 2:] + anchors[:, :2]
        halves = torch.exp(offsets[..., 2:] * _SIZE_VARIANCE) * anchors[:, 2:] / 2
        boxes = torch.cat([centres - halves, centres + halves], 2)
        return {"scores": torch.softmax(scores, 2), "boxes": boxes}

    def maps(self, x: Tensor) -> list[Tensor]:
        """Compute the four maps of features, from fine to coarse."""
        found = []
        for index, block in enumerate(self.base_net, 1):
            x = block(x)
            if index in _ENDS:
                found.append(x)
        return [*found, torch.relu(self.extras[0](x))]

    def _pairs(self, kind: int, maps: list[Tensor]) -> list[tuple[nn.Module, Tensor]]:
        heads = (self.classification_headers, self.regression_headers)[kind]
        return list(zip(heads, maps, strict=True))


def slim() -> UltraFace:
    """Make version-slim-320, without weights."""
    return UltraFace(_depthwise(64, 64, 1))


def rfb() -> UltraFace:
    """Make version-RFB-320, without weights."""
    return UltraFace(ReceptiveField())


def _depthwise(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False),
        nn.BatchNorm2d(channels_in),
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def _separable(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 3, stride, 1, groups=channels_in),
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, 1),
    )


def _dilated(widths: tuple[int, ...], dilation: int) -> Branch:
    first, *middle = (64, *widths)
    layers: list[nn.Module] = [ConvNorm(first, middle[0], 1)]
    layers += [ConvNorm(a, b, 3) for a, b in pairwise(middle)]
    return Branch(*layers, ConvNorm(widths[-1], 16, 3, dilation))


def _heads(values: int) -> nn.ModuleList:
    heads: list[nn.Module] = [
        _separable(channels, values * len(anchors))
        for channels, anchors in zip(CHANNELS[:-1], ANCHORS[:-1], strict=True)
    ]
    return nn.ModuleList([*heads, nn.Conv2d(CHANNELS[-1], values * len(ANCHORS[-1]), 3, padding=1)])


def _by_anchor(x: Tensor, values: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


def _anchors() -> Tensor:
    """Lay out ``[4420, 4]``: centre and size of each anchor, as shares of the image."""
    rows = [
        ((x + 0.5) / columns, (y + 0.5) / lines, side / WIDTH, side / HEIGHT)
        for stride, sides in zip(STRIDES, ANCHORS, strict=True)
        for lines, columns in [(-(-HEIGHT // stride), WIDTH // stride)]
        for y in range(lines)
        for x in range(columns)
        for side in sides
    ]
    return torch.tensor(rows).clamp(0, 1)
