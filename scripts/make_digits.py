"""Write the rows of the quickstart: digits_test.npz to judge on, digits_calib.npz for ranges.

Both hold ``x`` float32 [rows, 28, 28] with values 0 to 1; ``digits_test.npz`` has the labels
``y`` too. The calibration rows are training rows, so that all 900 other rows are left to judge
on. Needs scikit-learn; see models/digits.py for where the rows come from.

Usage: python scripts/make_digits.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.digits import digits_rows

CALIBRATION_ROWS = 256


def main() -> None:
    """Write both files into the folder named first, or into the working folder."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    images, labels, is_training = digits_rows()
    np.savez_compressed(folder / "digits_test.npz", x=images[~is_training], y=labels[~is_training])
    np.savez_compressed(folder / "digits_calib.npz", x=images[is_training][:CALIBRATION_ROWS])
    print(f"{folder / 'digits_test.npz'}: {np.sum(~is_training)} rows")
    print(f"{folder / 'digits_calib.npz'}: {CALIBRATION_ROWS} rows")


if __name__ == "__main__":
    main()
