"""Sequence taggers in PyTorch: a bidirectional LSTM, and the same with GRU cells.

Z. Huang et al., "Bidirectional LSTM-CRF Models for Sequence Tagging", 2015 (arXiv:1508.01991),
without the CRF: word vectors, two recurrent layers in both directions, a label for each token.
"""

import torch
from torch import Tensor, nn

SEED = 0
WORDS = 10_000
WIDTH = 128
HIDDEN = 256
LAYERS = 2
LABELS = 32


class Tagger(nn.Module):
    """Embedding, recurrent layers in both directions, one linear layer.

    Args:
        recurrent: The layers between, batch first.
    """

    def __init__(self, recurrent: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.recurrent = recurrent
        self.classifier = nn.Linear(2 * HIDDEN, LABELS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``[N, T]`` to the logits of each one's label ``[N, T, 32]``."""
        hidden, _ = self.recurrent(self.embedding(tokens))
        return self.classifier(hidden)  # type: ignore[no-any-return]


def lstm_tagger() -> Tagger:
    """Make the tagger with LSTM cells (3.66 million parameters)."""
    return _seeded(nn.LSTM)


def gru_tagger() -> Tagger:
    """Make the tagger with GRU cells (3.07 million parameters)."""
    return _seeded(nn.GRU)


def build() -> Tagger:
    """Make the one with LSTM cells, :func:`lstm_tagger`."""
    return lstm_tagger()


def _seeded(cells: type[nn.LSTM | nn.GRU]) -> Tagger:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        recurrent = cells(WIDTH, HIDDEN, LAYERS, batch_first=True, bidirectional=True)
        return Tagger(recurrent).eval()
