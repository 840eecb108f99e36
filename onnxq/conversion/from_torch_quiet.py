"""PyTorch's exporters print, warn and log about their own insides; here they do not."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

_NOISY_LOGGERS = (
    "torch.onnx",
    "torch.fx",
    "torch.export",
    "torch._export",
    "torch._dynamo",
    "onnxscript",
)
_STDOUT = 1


@contextlib.contextmanager
def quietly() -> Iterator[list[warnings.WarningMessage]]:
    """Silence what PyTorch prints, warns and logs, in the body alone.

    Yields:
        The warnings that were silenced, for who wants to look at them.
    """
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(record=True) as silenced,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("always")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield silenced
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def native_output_dropped() -> Iterator[None]:
    """Send file descriptor 1 nowhere, in the body alone.

    The TorchScript exporter of torch 2.13.0 prints the whole graph there, from C++, where it
    meets an operator that it does not know. The descriptor belongs to the whole process: what
    other threads print meanwhile is lost as well.
    """
    sys.stdout.flush()
    try:
        kept = os.dup(_STDOUT)
    except OSError:  # a process without a standard output
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
            os.dup2(nowhere.fileno(), _STDOUT)
        yield
    finally:
        os.dup2(kept, _STDOUT)
        os.close(kept)
