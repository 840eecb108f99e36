"""Quantize an ONNX model by NNCF for OpenVINO; part of ``latency.py``.

Usage: python latency_nncf.py MODEL CALIBRATION OUT, in an environment with openvino and nncf.
"""

import sys

import nncf
import numpy as np
import openvino


def main() -> None:
    """Quantize with NNCF's defaults; attention gets its transformer preset."""
    path, calibration, out = sys.argv[1:4]
    model = openvino.Core().read_model(path)
    arrays = dict(np.load(calibration))
    count = len(next(iter(arrays.values())))
    rows = [{name: array[row : row + 1] for name, array in arrays.items()} for row in range(count)]
    is_transformer = any(op.get_type_name() == "Softmax" for op in model.get_ordered_ops()[:-3])
    preset = nncf.ModelType.TRANSFORMER if is_transformer else None
    quantized = nncf.quantize(model, nncf.Dataset(rows), model_type=preset, subset_size=count)
    openvino.save_model(quantized, out, compress_to_fp16=False)


if __name__ == "__main__":
    main()
