"""A BERT of the "small" size and ViT-S/16 in plain PyTorch, with seeded random weights.

J. Devlin et al., "BERT", 2018 (arXiv:1810.04805), in the size of I. Turc et al., "Well-Read
Students Learn Better", 2019 (arXiv:1908.08962), table 1: 4 layers of 512. A. Dosovitskiy et al.,
"An Image is Worth 16x16 Words", 2020 (arXiv:2010.11929), section 3.1, in the size S of H. Touvron
et al., "Training data-efficient image transformers", 2020 (arXiv:2012.12877), table 1: 12 layers
of 384.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SEED = 0
HEAD_WIDTH = 64
WORD_PIECES = 30_522
POSITIONS = 512
CLASSES = 1000
PATCH = 16
SIDE = 224

_INITIAL_STD = 0.02


@dataclass(frozen=True)
class Size:
    """How large an encoder is, and in which order it works.

    Attributes:
        layers: Encoder layers.
        width: Of every token; heads are 64 wide, and the feed-forward network 4 times as wide.
        normalizes_first: LayerNorm in front of each branch (ViT), not behind each sum (BERT).
        epsilon: Of LayerNorm.
    """

    layers: int
    width: int
    normalizes_first: bool
    epsilon: float


BERT_SMALL = Size(layers=4, width=512, normalizes_first=False, epsilon=1e-12)
VIT_S = Size(layers=12, width=384, normalizes_first=True, epsilon=1e-6)


class Attention(nn.Module):
    """Self-attention with one linear layer each for queries, keys, values and the result.

    Args:
        width: Of every token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map ``[N, tokens, width]`` to the same shape; ``mask`` is true where to look."""
        query, key, value = (
            layer(x).unflatten(2, (-1, HEAD_WIDTH)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.projection(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network with GELU, each beside a shortcut.

    Args:
        size: Of the encoder.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.normalizes_first = size.normalizes_first
        self.attention = Attention(size.width)
        self.norm1 = nn.LayerNorm(size.width, size.epsilon)
        self.expand = nn.Linear(size.width, 4 * size.width)
        self.shrink = nn.Linear(4 * size.width, size.width)
        self.norm2 = nn.LayerNorm(size.width, size.epsilon)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map ``[N, tokens, width]`` to the same shape; ``mask`` is true where to look."""
        if self.normalizes_first:
            x = x + self.attention(self.norm1(x), mask)
            return x + self.feed_forward(self.norm2(x))
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.feed_forward(x))  # type: ignore[no-any-return]

    def feed_forward(self, x: Tensor) -> Tensor:
        """Map ``[N, tokens, width]`` to the same shape, each token for itself."""
        return self.shrink(functional.gelu(self.expand(x)))  # type: ignore[no-any-return]


class Bert(nn.Module):
    """Embeddings of word pieces, positions and segments, the encoder, and BERT's pooler.

    Args:
        size: Of the encoder.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.words = nn.Embedding(WORD_PIECES, size.width)
        self.positions = nn.Embedding(POSITIONS, size.width)
        self.segments = nn.Embedding(2, size.width)
        self.norm = nn.LayerNorm(size.width, size.epsilon)
        self.layers = nn.ModuleList(EncoderLayer(size) for _ in range(size.layers))
        self.pooler = nn.Linear(size.width, size.width)
        self.apply(initialize)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map word pieces and their mask (1 word, 0 padding) to one vector a text.

        Args:
            input_ids: ``[N, tokens]`` int64, 0 to 30 521; at most 512 tokens.
            attention_mask: ``[N, tokens]`` int64.

        Returns:
            ``[N, 512]``, -1 to 1.
        """
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.words(input_ids) + self.positions(place) + self.segments.weight[0]
        x = self.norm(x)
        mask = (attention_mask != 0)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return torch.tanh(self.pooler(x[:, 0]))


class VisionTransformer(nn.Module):
    """Patches and a class token with learned positions, the encoder, and one linear layer.

    Args:
        size: Of the encoder.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        tokens = (SIDE // PATCH) ** 2 + 1
        self.patches = nn.Conv2d(3, size.width, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.positions = nn.Parameter(_INITIAL_STD * torch.randn(1, tokens, size.width))
        self.layers = nn.Sequential(*(EncoderLayer(size) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.width, size.epsilon)
        self.classifier = nn.Linear(size.width, CLASSES)
        self.apply(initialize)

    def forward(self, image: Tensor) -> Tensor:
        """Map images ``[N, 3, 224, 224]`` to logits ``[N, 1000]``."""
        patches = self.patches(image).flatten(2).transpose(1, 2)
        first = self.class_token.expand(image.shape[0], -1, -1)
        x = self.layers(torch.cat((first, patches), dim=1) + self.positions)
        return self.classifier(self.norm(x)[:, 0])  # type: ignore[no-any-return]


def initialize(module: nn.Module) -> None:
    """Draw weights as BERT does: normal, standard deviation 0.02, no bias."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=_INITIAL_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def bert_small() -> Bert:
    """Make BERT-small: 4 layers of 512 (28.76 million parameters)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return Bert(BERT_SMALL).eval()


def vit_s() -> VisionTransformer:
    """Make ViT-S/16: 12 layers of 384 (22.05 million parameters)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return VisionTransformer(VIT_S).eval()


def build() -> Bert:
    """Make the one for text, :func:`bert_small`."""
    return bert_small()
