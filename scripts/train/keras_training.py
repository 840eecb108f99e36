"""What the scripts that train Keras models share: the backend, seeds, the loop.

Import it before Keras: it chooses the backend.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ["KERAS_BACKEND"] = "tensorflow"

import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
"""The loss of logits against the numbers of their classes."""

SEED = 20
BATCH_ROWS = 64

_MODELS = Path(__file__).resolve().parents[2] / "models"


def train(
    build: Callable[[], keras.Model],
    inputs: NDArray[np.generic],
    targets: NDArray[np.generic],
    *,
    loss: str | keras.losses.Loss,
    epochs: int,
    rate: float = 2e-3,
    weight_decay: float = 0.0,
) -> keras.Model:
    """Train a fresh network with AdamW, whose rate falls along a cosine to nothing.

    Seeds are fixed and operators deterministic: the same machine repeats the weights.

    Args:
        build: Makes the network; called once the seed is set.
        inputs: What it takes; axis 0 is rows.
        targets: What the loss compares its output with.
        loss: The loss.
        epochs: Times that every row is seen.
        rate: The learning rate at the start.
        weight_decay: Of AdamW.

    Returns:
        The network.
    """
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    network = build()
    steps = epochs * -(-len(inputs) // BATCH_ROWS)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    network.compile(keras.optimizers.AdamW(schedule, weight_decay=weight_decay), loss=loss)
    network.fit(inputs, targets, batch_size=BATCH_ROWS, epochs=epochs, verbose=2)
    return network


def write(network: keras.Model, build: Callable[[], keras.Model], name: str, stem: str) -> Path:
    """Write a network in Keras's own format, without its optimizer and its dropout.

    Args:
        network: The trained one.
        build: Makes the network as it is served.
        name: The folder in models/.
        stem: Of the file there, where the first argument of the script names no other file.

    Returns:
        The file.
    """
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else _MODELS / name / f"{stem}.keras"
    served = build()
    served.set_weights(network.get_weights())
    served.save(path)
    return path


def say_top1(network: keras.Model, inputs: NDArray[np.generic], labels: NDArray[np.int64]) -> None:
    """Print the share of rows whose largest logit is their label's."""
    right = network.predict(inputs, verbose=0).argmax(axis=1) == labels
    print(f"{network.name}: {network.count_params()} parameters")
    print(f"top-1 on test: {right.mean():.2%} ({right.sum()} of {right.size} rows)")
