"""NVIDIA ModelOpt's int8 quantization of an ONNX model.

``--style fp32`` keeps in float32 what stays float; ModelOpt's own default is float16, which no
kernel of onnxruntime's CPU provider computes in.
"""

import numpy as np
import onnx
from feeds import load_feeds, order_of
from modelopt.onnx.quantization import quantize

order = order_of(__doc__, ("fp32", "fp16"))
names = tuple(entry.name for entry in onnx.load(order.model).graph.input)
feeds = load_feeds(order.rows, names)
quantize(
    str(order.model),
    quantize_mode="int8",
    calibration_data={name: np.concatenate([feed[name] for feed in feeds]) for name in names},
    calibration_eps=["cpu"],
    high_precision_dtype=order.style,
    output_path=str(order.out),
)
