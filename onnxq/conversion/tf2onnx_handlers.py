"""What tf2onnx does not know: handlers for operators of TensorFlow and TFLite, in its own terms.

A handler gets tf2onnx's graph and the node, and replaces it by ONNX nodes. tf2onnx itself is not
imported here: it hands its objects in.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx

Handler: TypeAlias = Callable[[Any, Any, str, list[Any]], None]

_CUBIC = 0.044715
"""Of the tanh approximation: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016."""


def _convert_erfc(graph: Any, node: Any, name: str, _: list[Any]) -> None:  # noqa: ANN401 - tf2onnx has no types
    """Write ``Erfc(x)`` as ``1 - Erf(x)``."""
    write = _Writer(graph, node)
    erf = write("Erf", node.input[0])
    write.last(name, "Sub", write.constant(1.0), erf)


def _convert_gelu(graph: Any, node: Any, name: str, _: list[Any]) -> None:  # noqa: ANN401 - tf2onnx has no types
    """Write ``x/2 (1 + Erf(x / sqrt 2))``, or its approximation by Tanh where that is asked."""
    write = _Writer(graph, node)
    x = node.input[0]
    if node.get_attr_value("approximate"):
        cube = write("Mul", write("Mul", x, x), write("Mul", x, write.constant(_CUBIC)))
        scaled = write("Mul", write("Add", x, cube), write.constant(np.sqrt(2 / np.pi)))
        bent = write("Tanh", scaled)
    else:
        bent = write("Erf", write("Mul", x, write.constant(np.sqrt(0.5))))
    half = write("Mul", x, write.constant(0.5))
    write.last(name, "Mul", half, write("Add", bent, write.constant(1.0)))


class _Writer:
    """Writes nodes that all have the shape and dtype of a node that they replace."""

    def __init__(self, graph: Any, node: Any) -> None:  # noqa: ANN401 - tf2onnx has no types
        self._graph, self._stem, self._outputs = graph, node.name, node.output
        self._shapes, self._dtypes = node.output_shapes, node.output_dtypes
        self._count = 0
        self._replaced = node

    def __call__(self, operator: str, *inputs: str) -> str:
        made = self._graph.make_node(
            operator, list(inputs), shapes=self._shapes, dtypes=self._dtypes
        )
        return str(made.output[0])

    def constant(self, value: float) -> str:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(self._dtypes[0])
        self._count += 1
        made = self._graph.make_const(f"{self._stem}_{self._count}", np.asarray(value, dtype))
        return str(made.output[0])

    def last(self, name: str, operator: str, *inputs: str) -> None:
        """Put the node that gives what the replaced one gave in its place."""
        self._graph.remove_node(name)
        self._graph.make_node(
            operator,
            list(inputs),
            outputs=self._outputs,
            shapes=self._shapes,
            dtypes=self._dtypes,
            name=name,
        )


# tf2onnx 1.17.0 has no handler for Erfc, which TensorFlow 2.21 emits for every exact GELU, nor
# for TFLite's GELU: it logs an error and writes the foreign operator into the file.
HANDLERS: dict[str, tuple[Handler, list[Any]]] = {
    "Erfc": (_convert_erfc, []),
    "TFL_GELU": (_convert_gelu, []),
}
"""What goes to tf2onnx as ``custom_op_handlers``."""
