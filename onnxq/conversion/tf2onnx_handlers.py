"""What tf2onnx does not know: handlers for TensorFlow operators, in its own terms.

A handler gets tf2onnx's graph and the TensorFlow node, and replaces it by ONNX nodes. tf2onnx
itself is not imported here: it hands its objects in.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx

Handler: TypeAlias = Callable[[Any, Any, str, list[Any]], None]


def _convert_erfc(graph: Any, node: Any, name: str, _: list[Any]) -> None:  # noqa: ANN401 - tf2onnx has no types
    """Write ``Erfc(x)`` as ``1 - Erf(x)``."""
    shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, node.output
    argument = node.input[0]
    graph.remove_node(name)
    one = graph.make_const(
        f"{name}_one", np.ones((), onnx.helper.tensor_dtype_to_np_dtype(dtypes[0]))
    )
    erf = graph.make_node("Erf", [argument], shapes=shapes, dtypes=dtypes)
    graph.make_node(
        "Sub",
        [one.output[0], erf.output[0]],
        outputs=outputs,
        shapes=shapes,
        dtypes=dtypes,
        name=name,
    )


# tf2onnx 1.17.0 has no handler for Erfc, which TensorFlow 2.21 emits for every exact GELU: it
# logs an error and writes the TensorFlow operator into the file.
HANDLERS: dict[str, tuple[Handler, list[Any]]] = {"Erfc": (_convert_erfc, [])}
"""What goes to tf2onnx as ``custom_op_handlers``."""
