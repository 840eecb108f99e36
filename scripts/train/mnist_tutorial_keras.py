"""Train models/mnist_tutorial_keras on MNIST, which lies in ../shared. Takes a minute.

Usage: python scripts/train/mnist_tutorial_keras.py [FILE.keras]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from keras_training import CROSS_ENTROPY, say_top1, train, write

from models.mnist import mnist_rows
from models.mnist_tutorial_keras.mnist_tutorial import build

if __name__ == "__main__":
    images, digits = mnist_rows("train")
    network = train(build, images, digits, loss=CROSS_ENTROPY, epochs=8)
    write(network, build, "mnist_tutorial_keras", "mnist_tutorial")
    say_top1(network, *mnist_rows("test"))
