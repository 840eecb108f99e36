"""The errors that onnxq raises on purpose.

::

    OnnxqError(message, *, code, hint)      the command line catches this and nothing else
    ├── UsageError                          bad or contradictory options (exit 2)
    │   └── RecipeError                     unknown or impossible recipe
    ├── SourceError                         the model that was given
    ├── DatasetError                        the rows that were given
    ├── MissingDependencyError              an extra is not installed
    ├── ConversionError                     the framework or its exporter failed
    ├── ParityError                         the export computes something else
    ├── QuantizationError                   the quantizer failed, or its result is not believed
    ├── InferenceError                      a model failed on rows that fit it
    │   └── ModelLoadError                  onnxruntime cannot load it
    ├── StageError                          a child process died, hung or ate too much
    ├── LimitError                          a limit that the user gave is broken (exit 3)
    │   └── StrictError                     a node that was asked for stays float (--strict)
    ├── OutputError                         nothing could be written there
    └── Interrupted                         SIGINT or SIGTERM

A message says what failed, on what; found X, expected Y. The next step goes into ``hint``, fit
to be pasted where that is possible. Anything that is not an ``OnnxqError`` is a bug in onnxq and
keeps its traceback.
"""

from onnxq.codes import check_code


class OnnxqError(Exception):
    """A failure that onnxq foresaw.

    Args:
        message: What failed, on what; found X, expected Y.
        code: The code of this kind of failure, from :mod:`onnxq.codes`.
        hint: What to do next; one or more lines.

    Attributes:
        exit_code: What the command line exits with.
        stage: Name of the stage that failed; empty where none did. Whoever runs a stage sets it.

    Raises:
        KeyError: If ``code`` is not registered.
    """

    exit_code = 1

    def __init__(self, message: str, *, code: str, hint: str) -> None:
        check_code(code)
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.stage = ""


class UsageError(OnnxqError):
    """Options are bad or contradict each other."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe is unknown, or cannot be had in the way that was asked."""


class SourceError(OnnxqError):
    """The model that was given cannot be used as it is."""


class DatasetError(OnnxqError):
    """The rows that were given cannot be used as they are."""


class MissingDependencyError(OnnxqError):
    """A package that this source or these rows need is not installed."""


class ConversionError(OnnxqError):
    """The framework could not load the model, or its exporter could not export it."""


class ParityError(OnnxqError):
    """The exported model computes something else than the source."""


class QuantizationError(OnnxqError):
    """A quantizer failed, or what it wrote is not a model that can be believed."""


class InferenceError(OnnxqError):
    """A model failed while running on rows that fit its signature."""


class ModelLoadError(InferenceError):
    """A model cannot be loaded by onnxruntime's default provider."""


class StageError(OnnxqError):
    """A child process died of a signal, ran into a limit, or could not be started."""


class LimitError(OnnxqError):
    """A limit that the user gave is not met."""

    exit_code = 3


class StrictError(LimitError):
    """A node that should become integer stays float, and ``--strict`` was given."""


class OutputError(OnnxqError):
    """The output folder cannot be written, or is not ours to replace."""


class Interrupted(OnnxqError):  # noqa: N818 - an interruption is not an error
    """The run was interrupted from outside.

    Args:
        message: What was interrupted.
        code: The code of this kind of failure.
        hint: What to do next.
        exit_code: 130 for SIGINT, 143 for SIGTERM.

    Attributes:
        partial_report: JSON of what was found out before; empty if nothing was.
    """

    def __init__(self, message: str, *, code: str, hint: str, exit_code: int = 130) -> None:
        super().__init__(message, code=code, hint=hint)
        self.exit_code = exit_code
        self.partial_report = b""


ERRORS: dict[str, type[OnnxqError]] = {
    kind.__name__: kind
    for kind in (
        UsageError,
        RecipeError,
        SourceError,
        DatasetError,
        MissingDependencyError,
        ConversionError,
        ParityError,
        QuantizationError,
        InferenceError,
        ModelLoadError,
        StageError,
        LimitError,
        StrictError,
        OutputError,
        Interrupted,
    )
}
"""Every error by its name: how a child's error becomes the parent's."""
