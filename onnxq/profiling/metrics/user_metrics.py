"""A metric of the user's: ``fn(outputs, labels)``, a value per row or one of all rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxq.arrays import Array
from onnxq.errors import DatasetError
from onnxq.metric_choices import UserMetric, metric_name
from onnxq.profiling.metrics.choosing import named_output, row_name
from onnxq.profiling.metrics.scores import Recomputed, RightRows, Scores, ValuedRows
from onnxq.user_code import UserCode, failures_said, import_named
from onnxq.wording import with_article

_NUMBERS = "biuf"
_WANTED = "a function fn(outputs, labels) that returns one number, or one per row"

UserFunction: TypeAlias = Callable[..., object]


@dataclass(frozen=True)
class UserCall:
    """A function of the user's, and what it is called with.

    Attributes:
        function: It.
        code: How it was named.
        output: The only output that it is given, as an array; empty gives it the array of a
            model with one output, and a dict by name of one with several.
        labels: Axis 0 is rows.
        row_names: What to call rows in messages.
    """

    function: UserFunction
    code: UserCode
    output: str
    labels: Array
    row_names: Sequence[str]

    @property
    def higher_is_better(self) -> bool:
        """What the function's attribute of that name says; True without one."""
        return bool(getattr(self.function, "higher_is_better", True))

    @property
    def has_direction(self) -> bool:
        """Whether the function has that attribute."""
        return hasattr(self.function, "higher_is_better")

    def score(self, outputs: Mapping[str, Array]) -> Scores:
        """Call the function on all rows.

        Args:
            outputs: A model's, by name.

        Returns:
            Which rows are right where it returns a bool per row; what they are worth where it
            returns a number per row; else its one number.

        Raises:
            DatasetError: If it fails, or returns anything else.
            MissingDependencyError: If it imports a package that is not installed.
        """
        found = self._call(outputs, self.labels)
        if not found.ndim:
            value = self._checked(found.reshape(1))[0]
            return Recomputed(float(value), outputs, self._compute)
        if found.dtype == np.bool_:
            return RightRows(found)
        values = self._checked(found)
        return ValuedRows(values, float(np.ptp(values)) or float(np.abs(values).max()))

    def _compute(self, outputs: Mapping[str, Array], rows: NDArray[np.int_]) -> float:
        """Compute the value of some rows; NaN where the function refuses just these.

        On a resample a class may be missing, which many functions do not stand; on all rows the
        function did not refuse.
        """
        chosen = {name: array[rows] for name, array in outputs.items()}
        try:
            found = self._call(chosen, self.labels[rows])
        except DatasetError as error:
            if isinstance(error.__cause__, ValueError | ArithmeticError):
                return math.nan
            raise
        if found.ndim:
            several = f"one number of all rows, and {found.size} of {rows.size} rows"
            raise self._refusal(several)
        return float(found)

    def _call(self, outputs: Mapping[str, Array], labels: Array) -> Array:
        given: object = dict(outputs)
        if self.output:
            given = named_output(outputs, self.output)
        elif len(outputs) == 1:
            given = next(iter(outputs.values()))
        with failures_said(self.code):
            returned = self.function(given, labels)
        try:
            found = np.asarray(returned)
        except (TypeError, ValueError, RuntimeError) as error:  # ragged, or a tensor of a device
            raise self._refusal(with_article(returned)) from error
        if found.ndim > 1 and found.shape[0] == found.size:
            found = found.reshape(-1)
        if found.dtype.kind not in _NUMBERS or found.shape not in {(), (len(labels),)}:
            shape = f" {found.dtype} {list(found.shape)}" if found.dtype.kind != "O" else ""
            returned_so = f"{with_article(returned)}{shape}"
            raise self._refusal(returned_so)
        return found

    def _checked(self, values: Array) -> NDArray[np.float64]:
        finite = np.isfinite(values)
        if not finite.all():
            row = int((~finite).argmax())
            where = f" for row {row_name(row, self.row_names)}" if values.size > 1 else ""
            broken = f"{values[row]}{where}"
            raise self._refusal(broken)
        return np.asarray(values, np.float64)

    def _refusal(self, found: str) -> DatasetError:
        rows = len(self.labels)
        message = f"{self.code.given} returned {found}; expected a number, or {rows} of them."
        return DatasetError(message, code="OQ134", hint=f"Write {_WANTED}.")


def load_user_metric(
    choice: UserMetric,
    folders: tuple[str, ...],
    output: str,
    labels: Array,
    row_names: Sequence[str] = (),
) -> UserCall:
    """Import a metric of the user's.

    Args:
        choice: Which.
        folders: Where a relative ``file.py`` is looked for after the working folder.
        output: The only output that it shall be given; empty for all.
        labels: Axis 0 is rows.
        row_names: What to call rows in messages.

    Returns:
        The function, ready to be called on a model's outputs.

    Raises:
        DatasetError: If it does not exist or cannot be called.
        MissingDependencyError: If it imports a package that is not installed.
    """
    code = UserCode(
        module=choice.module,
        name=choice.function,
        given=metric_name(choice),
        wanted=_WANTED,
        error=DatasetError,
        hint=f"Write {_WANTED}.",
    )
    function = import_named(code, folders)
    if not callable(function):
        message = f"{code.given} is {with_article(function)}, expected {_WANTED}."
        raise DatasetError(message, code="OQ106", hint=code.hint)
    return UserCall(function, code, output, labels, row_names)
