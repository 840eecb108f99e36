"""An LSTM that tells a positive sentence of a film review from a negative one."""

import torch
from torch import Tensor, nn

VOCABULARY = 4096
"""As ``SST2_VOCABULARY`` of models/text.py, which makes the tokens."""

WIDTH = 24
HIDDEN = 160
CLASSES = 2


class SentimentLstm(nn.Module):
    """Embeddings, one LSTM from left to right, its outputs' maximum over time, a linear layer.

    Args:
        dropout: Share of the embeddings and of the maximum that training drops.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        with torch.no_grad():  # a padding stays zero
            self.embedding.weight.mul_(0.3)
        self.lstm = nn.LSTM(WIDTH, HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(HIDDEN, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``[N, 32]``, padded on the left, to logits ``[N, 2]``."""
        outputs, _ = self.lstm(self.dropout(self.embedding(tokens)))
        return self.classifier(self.dropout(outputs.amax(1)))  # type: ignore[no-any-return]


def build(dropout: float = 0.5) -> SentimentLstm:
    """Make the network without its trained weights.

    Args:
        dropout: Share of the embeddings and of the maximum that training drops.

    Returns:
        The network; ``weights.pt`` beside this file fits it.
    """
    return SentimentLstm(dropout)
