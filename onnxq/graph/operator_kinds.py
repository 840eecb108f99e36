"""Operator types, by what a recipe can do with them."""

MULTIPLIERS = frozenset({
    "Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Attention", "Einsum",
})  # fmt: skip
"""Operators that multiply and add: where the time goes, and what quantizing is about."""

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
JOINING = frozenset({"Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "LeakyRelu"})
ABSORBED = frozenset({"Relu", "Clip"})
MOVING = frozenset({
    "MaxPool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split",
    "Resize",
})  # fmt: skip
"""Operators whose result the quantizer gives the scale of what they read."""

COMMUTING = frozenset({"MaxPool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
"""Moving operators that may change places with Relu and Clip without changing the result."""

QDQ_OPERATORS = WEIGHTED | JOINING | ABSORBED | MOVING
"""Every operator type that the static recipe can turn into an integer one."""

FOLLOWING = ABSORBED | MOVING
"""Operators that do not compute: they follow what they read."""
