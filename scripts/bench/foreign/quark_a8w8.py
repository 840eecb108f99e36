"""AMD Quark's A8W8 quantization of an ONNX model, as its default configuration has it."""

import onnx
from feeds import FeedReader, load_feeds, order_of
from quark.onnx import ModelQuantizer
from quark.onnx.quantization.config import Config, get_default_config

order = order_of(__doc__)
names = tuple(entry.name for entry in onnx.load(order.model).graph.input)
quantizer = ModelQuantizer(Config(global_quant_config=get_default_config("A8W8")))
reader = FeedReader(load_feeds(order.rows, names))
quantizer.quantize_model(str(order.model), str(order.out), reader)
