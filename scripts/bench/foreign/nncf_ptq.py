"""NNCF's post-training quantization of an ONNX model, all defaults.

``--style transformer`` tells NNCF that the model is one, which is the default for none.
"""

import nncf
import onnx
from feeds import load_feeds, order_of

order = order_of(__doc__, ("default", "transformer"))
model = onnx.load(order.model)
feeds = load_feeds(order.rows, tuple(entry.name for entry in model.graph.input))
kind = nncf.ModelType.TRANSFORMER if order.style == "transformer" else None
onnx.save(nncf.quantize(model, nncf.Dataset(feeds), model_type=kind), order.out)
