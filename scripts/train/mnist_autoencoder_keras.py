"""Train models/mnist_autoencoder_keras on MNIST, which lies in ../shared. Takes two minutes.

Usage: python scripts/train/mnist_autoencoder_keras.py [FILE.keras]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from keras_training import train, write

from models.mnist import mnist_rows
from models.mnist_autoencoder_keras.mnist_autoencoder import build

if __name__ == "__main__":
    images, _ = mnist_rows("train")
    network = train(build, images, images, loss="binary_crossentropy", epochs=8)
    write(network, build, "mnist_autoencoder_keras", "mnist_autoencoder")
    unseen, _ = mnist_rows("test")
    squared = ((network.predict(unseen, verbose=0) - unseen) ** 2).mean()
    print(f"{network.name}: {network.count_params()} parameters")
    print(f"mean squared error on test: {squared:.5f} ({len(unseen)} rows)")
