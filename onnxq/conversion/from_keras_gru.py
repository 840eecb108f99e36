"""Keras 3's GRU in the words of Keras 2, which tf2onnx recognises and writes as a GRU.

tf2onnx 1.17.0 looks for Keras 2's graph: biases made outside the loop, and one split into the
three gates after each ``BiasAdd``. Keras 3 (3.15) slices inside the loop, so that the layer
becomes a ``Loop``: ten times slower, and out of reach of any quantizer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onnxq.conversion.from_keras_backend import keras, tf


@contextmanager
def recognisable_gru() -> Iterator[None]:
    """Let Keras trace its GRU layers as Keras 2 did, and put everything back afterwards.

    Layers with ``reset_after=False`` or a mask are traced as they are. Not for two threads at
    once: Keras' own classes are changed meanwhile.
    """
    layer_class, cell_class = keras.layers.GRU, keras.layers.GRUCell
    inner_loop, call = layer_class.inner_loop, cell_class.call
    biases: dict[int, Any] = {}

    def run_loop(layer: Any, sequences: Any, initial_state: Any, mask: Any, **given: Any) -> Any:  # noqa: ANN401 - Keras has no types
        cell = layer.cell
        if cell.reset_after and mask is None:
            biases[id(cell)] = _biases(cell)
        try:
            return inner_loop(layer, sequences, initial_state, mask, **given)
        finally:
            biases.pop(id(cell), None)

    def step(cell: Any, inputs: Any, states: Any, **given: Any) -> Any:  # noqa: ANN401 - Keras has no types
        if id(cell) not in biases or given.get("training"):
            return call(cell, inputs, states, **given)
        nested = isinstance(states, list | tuple)
        state = _step(cell, inputs, states[0] if nested else states, biases[id(cell)])
        return state, [state] if nested else state

    layer_class.inner_loop, cell_class.call = run_loop, step
    try:
        yield
    finally:
        layer_class.inner_loop, cell_class.call = inner_loop, call


def _biases(cell: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Return the biases of the inputs and of the state, as tensors outside the loop."""
    if not cell.use_bias:
        return (tf.zeros(3 * cell.units, cell.compute_dtype),) * 2
    return tf.unstack(tf.convert_to_tensor(cell.bias))


def _step(cell: Any, inputs: Any, state: Any, biases: Any) -> Any:  # noqa: ANN401 - Keras has no types
    """Compute a step of a GRU (Cho et al., 2014; reset after the matrix product)."""
    input_bias, state_bias = biases
    from_inputs = tf.nn.bias_add(tf.matmul(inputs, tf.convert_to_tensor(cell.kernel)), input_bias)
    from_state = tf.nn.bias_add(
        tf.matmul(state, tf.convert_to_tensor(cell.recurrent_kernel)), state_bias
    )
    input_update, input_reset, input_new = tf.split(from_inputs, 3, axis=1)
    state_update, state_reset, state_new = tf.split(from_state, 3, axis=1)
    update = cell.recurrent_activation(input_update + state_update)
    reset = cell.recurrent_activation(input_reset + state_reset)
    new = cell.activation(input_new + reset * state_new)
    return update * state + (1 - update) * new
