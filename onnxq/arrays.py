"""The two seams of onnxq as types: arrays, and a function from inputs to outputs."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""An array of any dtype: a model decides at run time what it takes."""

Predict: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]
"""From arrays by input name to arrays by output name."""
