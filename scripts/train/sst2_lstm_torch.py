"""Train models/sst2_lstm_torch on SST-2, which lies in ../shared. Takes a minute.

The settings were chosen on the validation part; the test part only judges.

Usage: python scripts/train/sst2_lstm_torch.py [FOLDER]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from torch_training import Training, train_and_write

from models.sst2_lstm_torch.net import build
from models.text import sst2_rows

if __name__ == "__main__":
    train_and_write(
        "sst2_lstm_torch",
        build,
        {part: sst2_rows(part) for part in ("train", "dev", "test")},
        Training(epochs=12, largest_rate=4e-3),
        least=0.75,
    )
