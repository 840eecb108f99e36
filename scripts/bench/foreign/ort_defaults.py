"""onnxruntime's own static quantization, all defaults: QDQ of signed activations, per tensor.

``--style qoperator`` writes QLinear operators, else with the defaults.
"""

from feeds import Feed, load_feeds, order_of
from onnx import load
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static


class Rows(CalibrationDataReader):
    """Hands out feeds one after another, as onnxruntime's calibrators ask for them."""

    def __init__(self, feeds: list[Feed]) -> None:
        """Keep the feeds."""
        self.feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        """Return the next feed, or ``None`` after the last."""
        return next(self.feeds, None)


order = order_of(__doc__, ("qdq", "qoperator"))
names = tuple(entry.name for entry in load(order.model).graph.input)
quantize_static(
    order.model,
    order.out,
    Rows(load_feeds(order.rows, names)),
    quant_format=QuantFormat.QDQ if order.style == "qdq" else QuantFormat.QOperator,
)
