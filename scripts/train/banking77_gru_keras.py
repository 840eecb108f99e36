"""Train models/banking77_gru_keras on banking77, which lies in ../shared. Takes four minutes.

Usage: python scripts/train/banking77_gru_keras.py [FILE.keras]
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from keras_training import CROSS_ENTROPY, say_top1, train, write

from models.banking77_gru_keras.banking77_gru import build
from models.text import banking77_rows

if __name__ == "__main__":
    tokens, intents = banking77_rows("train")
    build_to_train = partial(build, dropout=0.4)
    network = train(build_to_train, tokens, intents, loss=CROSS_ENTROPY, epochs=25, rate=4e-3)
    write(network, build, "banking77_gru_keras", "banking77_gru")
    say_top1(network, *banking77_rows("test"))
