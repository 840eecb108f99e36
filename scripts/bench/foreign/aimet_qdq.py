"""AIMET's simulation of int8, calibrated and written as QuantizeLinear and DequantizeLinear."""

import onnx
from aimet_onnx.quantsim import QuantizationSimModel
from feeds import load_feeds, order_of

order = order_of(__doc__)
model = onnx.load(order.model)
feeds = load_feeds(order.rows, tuple(entry.name for entry in model.graph.input))
simulation = QuantizationSimModel(model, dummy_input=feeds[0], providers=["CPUExecutionProvider"])
simulation.compute_encodings(feeds)
onnx.save(simulation.to_onnx_qdq(), order.out)
