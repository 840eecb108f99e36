"""A small transformer encoder that reads a question to a bank and names its intent."""

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY = 2048
"""As ``BANKING77_VOCABULARY`` of models/text.py, which makes the tokens."""

TOKENS = 32
WIDTH = 64
HEADS = 4
LAYERS = 2
CLASSES = 77


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each behind a LayerNorm and beside a shortcut.

    A. Vaswani et al., "Attention Is All You Need", 2017, section 3.1, with the norm moved to the
    front of each branch (R. Xiong et al., 2020).

    Args:
        dropout: Share of each branch's output that training drops.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.projection = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.expand = nn.Linear(WIDTH, 2 * WIDTH)
        self.shrink = nn.Linear(2 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``[N, 32, 64]`` to the same shape; ``mask`` is true where it may be looked at."""
        x = x + self.dropout(self.attend(self.norm1(x), mask))
        wide = functional.gelu(self.expand(self.norm2(x)))
        return x + self.dropout(self.shrink(wide))  # type: ignore[no-any-return]

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """Let every token gather from those that the mask ``[N, 1, 1, 32]`` allows."""
        heads = self.qkv(x).unflatten(2, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.projection(found.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class IntentEncoder(nn.Module):
    """Token and position embeddings, two encoder layers, the mean over words, one linear layer.

    Args:
        dropout: Share of the embeddings and of each branch's output that training drops.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.position = nn.Parameter(0.02 * torch.randn(TOKENS, WIDTH))
        self.layers = nn.ModuleList(EncoderLayer(dropout) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``[N, 32]``, padded on the left, to the logits of 77 intents ``[N, 77]``."""
        # The last place always counts: a text without any word has something to look at.
        is_word = (tokens != 0) | (torch.arange(TOKENS, device=tokens.device) == TOKENS - 1)
        x = self.dropout(self.embedding(tokens) + self.position)
        for layer in self.layers:
            x = layer(x, is_word[:, None, None, :])
        share = is_word.to(x.dtype).unsqueeze(2)
        mean = (self.norm(x) * share).sum(1) / share.sum(1)
        return self.classifier(self.dropout(mean))  # type: ignore[no-any-return]


def build(dropout: float = 0.2) -> IntentEncoder:
    """Make the network without its trained weights.

    Args:
        dropout: Share of the embeddings and of each branch's output that training drops.

    Returns:
        The network; ``weights.pt`` beside this file fits it.
    """
    return IntentEncoder(dropout)
