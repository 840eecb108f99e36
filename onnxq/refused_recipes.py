"""Recipes that there are not, on purpose: the names that people try, and the reasons."""

_REFUSED: dict[tuple[str, ...], tuple[str, str]] = {
    ("int2-weights", "int2", "2bit", "weights-int2", "ternary"): (
        "with four values a weight, a model that was not trained for it is destroyed",
        "-r int4-weights",
    ),
    ("int1-weights", "int1", "1bit", "binary", "bnn", "weights-int1"): (
        "onnxruntime has no kernel for it, and a model that was not trained for it is destroyed",
        "-r int4-weights",
    ),
    ("int3-weights", "int3", "weights-int3"): (
        "onnxruntime has no kernel for 3-bit weights: they do not fill bytes",
        "-r int4-weights",
    ),
    ("nf4", "fp4", "weights-nf4", "weights-fp4"): (
        "onnxq writes one 4-bit format, whose kernel was measured: int4 in blocks, as small",
        "-r int4-weights",
    ),
    ("fp8", "float8", "e4m3", "e5m2"): (
        "onnxruntime has no float8 arithmetic on CPUs",
        "-r int8",
    ),
    ("bf16", "bfloat16"): (
        "onnxruntime has bfloat16 kernels for few operators on CPUs",
        "-r fp16",
    ),
    ("int8-entropy", "entropy", "kl"): (
        "ranges of least relative entropy were worse than int8-minmax on six of seven models",
        "-r int8",
    ),
    ("int4",): (
        "int4 activations have no CPU kernel; int4 weights have",
        "-r int4-weights",
    ),
}
"""Names that people try, why there is no such recipe, and what to use instead."""


def why_refused(text: str) -> tuple[str, str]:
    """Say why there is no recipe of a name.

    Args:
        text: What was typed.

    Returns:
        The reason, and what to write instead; both empty where nothing is known of the name.
    """
    typed = text.lower()
    return next(
        (
            answer
            for names, answer in _REFUSED.items()
            if typed in names or typed.rpartition("-block")[0] in names
        ),
        ("", ""),
    )
