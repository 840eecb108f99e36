"""Operator types, by what a recipe can do with them."""

MULTIPLIERS = frozenset({
    "Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Attention", "Einsum",
})  # fmt: skip
"""Operators that multiply and add: where the time goes, and what quantizing is about."""

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
GATES = frozenset({"HardSigmoid", "Sigmoid"})
"""What SiLU, HardSwish and squeeze-and-excite blocks multiply with.

onnxruntime 1.31 has an integer kernel for Sigmoid; HardSigmoid gets one by a rewrite.
"""

JOINING = GATES | {"Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "LeakyRelu"}
ABSORBED = frozenset({"Relu", "Clip"})
MOVING = frozenset({
    "MaxPool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split",
    "Resize", "Expand", "Tile", "DepthToSpace", "ReduceMax", "ReduceMin", "Pad",
})  # fmt: skip
"""Operators that hand on integers as they are: their result has the scale of what they read.

onnxruntime 1.31 runs each of them on uint8 between pairs of equal scales, but for Pad, which a
rewrite moves there; it adds zeros, or values of its own. SpaceToDepth, GatherND, GlobalMaxPool,
TopK, Abs and Max it computes in float, whatever stands around them.
Gather it would run, but moves bytes six times slower than floats.
"""

COMMUTING = frozenset({
    "MaxPool", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "DepthToSpace",
    "Pad",
})  # fmt: skip
"""Moving operators that may change places with Relu and Clip without changing the result."""

SHARES = frozenset({"Sigmoid", "Softmax", "HardSigmoid"})
"""Operators whose results lie between 0 and 1 by what they are."""

QDQ_OPERATORS = WEIGHTED | JOINING | ABSORBED | MOVING
"""Every operator type that the static recipe can turn into an integer one."""

FOLLOWING = ABSORBED | MOVING
"""Operators that do not compute: they follow what they read."""
