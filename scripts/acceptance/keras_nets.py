"""Keras definitions for the matrix of sources: what exporters are known to get wrong."""

import keras
import numpy as np

SEED = 0


def towers() -> keras.Model:
    """Make a network with two inputs and two named outputs.

    Names are in no alphabetical order; there are exact GELUs, constants that a layer captures,
    a depthwise convolution with batch normalization, and ReLU6.

    Returns:
        A model from ``zeta`` ``[N, 16]`` and ``alpha`` ``[N, 12, 12, 3]`` to a dict of ``score``
        ``[N, 4]`` and ``again`` ``[N, 16]``.
    """
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    zeta, alpha = layers.Input((16,), name="zeta"), layers.Input((12, 12, 3), name="alpha")
    scale = layers.Normalization(mean=np.full(3, 0.1), variance=np.full(3, 0.5))
    x = layers.SeparableConv2D(8, 3, padding="same")(scale(alpha))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x)))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Concatenate()([layers.Dense(32, activation="gelu")(zeta), x])
    score = layers.Dense(4, activation="softmax", name="score")(x)
    again = layers.Dense(16, name="again")(x)
    return keras.Model([zeta, alpha], {"score": score, "again": again}, name="towers")


def attention() -> keras.Model:
    """Make a network with attention, exact GELUs and recurrent layers of both directions.

    Returns:
        A model from ``sequence`` ``[N, 10, 16]`` to ``scores`` ``[N, 5]``.
    """
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    sequence = layers.Input((10, 16), name="sequence")
    x = layers.LayerNormalization()(sequence)
    x = layers.Add()([sequence, layers.MultiHeadAttention(4, 8)(x, x)])
    x = layers.Dense(32, activation="gelu")(x)
    x = layers.Bidirectional(layers.GRU(12, return_sequences=True))(x)
    x = layers.LSTM(12)(x)
    return keras.Model(sequence, layers.Dense(5, name="scores")(x), name="attention")
