"""A GRU that reads a question to a bank and names its intent, in Keras 3."""

import keras

VOCABULARY = 2048
"""As ``BANKING77_VOCABULARY`` of models/text.py, which makes the tokens."""

TOKENS = 32
WIDTH = 48
HIDDEN = 128
CLASSES = 77


def build(dropout: float = 0.0) -> keras.Sequential:
    """Build the network with fresh weights.

    Args:
        dropout: Share of the embeddings and of the last output that training drops.

    Returns:
        A model from tokens ``[N, 32]`` int64, padded on the left, to logits ``[N, 77]``.
    """
    return keras.Sequential(
        [
            keras.layers.Input((TOKENS,), dtype="int64", name="tokens"),
            keras.layers.Embedding(VOCABULARY, WIDTH),
            keras.layers.Dropout(dropout),
            keras.layers.GRU(HIDDEN),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(CLASSES, name="logits"),
        ],
        name="banking77_gru",
    )
