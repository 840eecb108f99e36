"""Train models/banking77_encoder_torch on banking77, which lies in ../shared. Takes two minutes.

Usage: python scripts/train/banking77_encoder_torch.py [FOLDER]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torch_training import Training, train_and_write

from models.banking77_encoder_torch.net import build
from models.text import banking77_rows

if __name__ == "__main__":
    train_and_write(
        "banking77_encoder_torch",
        build,
        {part: banking77_rows(part) for part in ("train", "test")},
        Training(epochs=25, largest_rate=2e-3, label_smoothing=0.1),
        least=0.8,
    )
