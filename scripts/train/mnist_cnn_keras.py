"""Train models/mnist_cnn_keras on the digits that scikit-learn bundles. Takes half a minute.

Only the 897 training rows of models/digits.py are seen; the settings below were chosen by
cross-validation within them. The last line that is printed is the accuracy on the 900 others.
Seeds are fixed and operators deterministic: the weights come out the same on the same machine.
Needs the extra ``keras`` and scikit-learn.

Usage: python scripts/train/mnist_cnn_keras.py [FILE.keras]
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ["KERAS_BACKEND"] = "tensorflow"

sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.digits import digits_rows
from models.mnist_cnn_keras.mnist_cnn import CLASSES, build

MODEL = Path(__file__).parents[2] / "models" / "mnist_cnn_keras" / "mnist_cnn.keras"
SEED = 20
EPOCHS = 100
BATCH_ROWS = 32
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
LABEL_SMOOTHING = 0.05
GREATEST_SHIFT = 0.07


def train(images: NDArray[np.float32], labels: NDArray[np.int64]) -> keras.Sequential:
    """Train a fresh network on images that are shifted by up to two pixels, anew each epoch.

    Args:
        images: ``[rows, 28, 28]``, 0 to 1.
        labels: ``[rows]``, 0 to 9.

    Returns:
        The network, not compiled: what is saved holds no optimizer state.
    """
    network = build()
    image = keras.Input((28, 28, 1))
    shifted = keras.layers.RandomTranslation(
        GREATEST_SHIFT, GREATEST_SHIFT, fill_mode="constant", seed=SEED
    )(image)
    trainer = keras.Model(image, network(keras.layers.Reshape((28, 28))(shifted)))
    steps = EPOCHS * -(-len(labels) // BATCH_ROWS)
    trainer.compile(
        keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(PEAK_LEARNING_RATE, steps),
            weight_decay=WEIGHT_DECAY,
        ),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=LABEL_SMOOTHING
        ),
    )
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    trainer.fit(images[..., None], targets, batch_size=BATCH_ROWS, epochs=EPOCHS, verbose=0)
    return network


def main() -> None:
    """Train, write the model, and print its accuracy on the evaluation rows."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    images, labels, is_training = digits_rows()
    network = train(images[is_training], labels[is_training])
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    network.save(path)
    top1 = np.asarray(network(images[~is_training], training=False)).argmax(axis=1)
    right = top1 == labels[~is_training]
    print(f"{path.name}: top-1 {right.mean():.2%} ({right.sum()} of {right.size} rows)")


if __name__ == "__main__":
    main()
