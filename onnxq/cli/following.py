"""The command that comes next: what was typed for one verb, as far as another one needs it.

A model is the same to the next verb only if it is read in the same way, and ranges are found again
only for the recipes and the scope that they were chosen for; so these options go along.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import click

from onnxq.cli.flags import FLAGS
from onnxq.cli.setting_values import Setting
from onnxq.documents import Calibration, Conversion, Quantization, Repair
from onnxq.reports import SourceFacts
from onnxq.sources import InputDeclaration, render_input

_MODEL = ("weights", "input", "signature", "trust")
_CHECKED_MODEL = (*_MODEL, "check")
_BUILDING = (
    "recipe", "operator", "skip_operator", "keep_float", "io", "target", "rewrite", "skip_rewrite",
)  # fmt: skip
_ROWS = ("preprocess", "map", "classes")
_DEFAULT_RECIPE = ("--recipe", "int8")
_NAMES_OF_VERB = 2
_PLACEHOLDER = ("--data", "val.npz")


def typed_words(command: Sequence[str], names: Collection[str]) -> tuple[str, ...]:
    """Return the words of a command that set some options.

    Args:
        command: ``onnxq``, the verb, and what was typed after it.
        names: Keywords of the options.

    Returns:
        Their words, in the order of ``names``, each flag in its long form; what was not typed, or
        holds anyway, is left out.
    """
    anything = click.Argument(["anything"], nargs=-1)
    parser = click.Command("typed", params=[*FLAGS.values(), anything], add_help_option=False)
    words = list(command[_NAMES_OF_VERB:])
    context = parser.make_context("typed", words, resilient_parsing=True)
    source = context.get_parameter_source
    typed = [name for name in names if source(name) is click.core.ParameterSource.COMMANDLINE]
    settings = (Setting(name=name, value=context.params[name], origin="") for name in typed)
    return tuple(word for setting in settings for word in setting.words)


def inserted(command: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """Add options to a command: at its end, or before the ``--`` after which there are none."""
    end = command.index("--") if "--" in command else len(command)
    return (*command[:end], *words, *command[end:])


def without_option(command: Sequence[str], flag: str) -> tuple[str, ...]:
    """Return a command without an option that takes a value, however often it was given."""
    return tuple(
        word
        for before, word in zip(("", *command), command, strict=False)
        if flag not in (before, word, word.partition("=")[0])
    )


def quantizing_command(done: Calibration, ranges: str) -> tuple[str, ...]:
    """Return what quantizes a model with the ranges of a calibration.

    Args:
        done: What was calibrated or merged.
        ranges: The file of ranges, as a path from the working folder.
    """
    recipes = typed_words(done.command, _BUILDING[:1])
    options = (
        *_model_words(done.source, done.command),
        *typed_words(done.command, ("preprocess",)),
        *(() if recipes == _DEFAULT_RECIPE else recipes),
        *typed_words(done.command, _BUILDING[1:]),
    )
    command = _writing("quantize", (done.source.given,), (*options, "--ranges", ranges))
    return command if "--out" in command else (*command, *_out_beside("quantize", done.command))


def merging_command(done: Calibration, statistics: Sequence[str]) -> tuple[str, ...]:
    """Return what merges the statistics of one part with those of the others.

    Args:
        done: The part that was calibrated.
        statistics: Its files, as paths from the working folder.
    """
    options = (
        *_model_words(done.source, done.command),
        *typed_words(done.command, _BUILDING),
    )
    return _writing("merge", (done.source.given, *statistics), options)


def profiling_command(done: Quantization, models: Sequence[str]) -> tuple[str, ...]:
    """Return what measures a model and those that were made of it, on rows to be named.

    Args:
        done: What was quantized.
        models: Files of its models, as paths from the working folder.
    """
    options = typed_words(done.command, (*_MODEL, *_ROWS))
    return ("onnxq", "profile", done.source.given, *models, *options, *_PLACEHOLDER)


def judging_command(done: Repair, models: Sequence[str]) -> tuple[str, ...]:
    """Return what compares a repaired model with the given one, on rows to be named.

    Args:
        done: What was repaired.
        models: The given and the repaired file, as paths from the working folder; the given one
            only where it can be served.
    """
    options = typed_words(done.command, ("input", *_ROWS))
    return ("onnxq", "profile", *models, *options, *_PLACEHOLDER)


def running_command(done: Conversion, model: str) -> tuple[tuple[str, ...], bool]:
    """Return what does the rest with a model that was converted.

    Args:
        done: The conversion.
        model: Its file, as a path from the working folder.

    Returns:
        The command, and whether it names rows that are there: those that were typed.
    """
    rows = typed_words(done.command, ("data",))
    options = typed_words(done.command, _ROWS)
    return _writing("run", (model,), (*(rows or _PLACEHOLDER), *options)), bool(rows)


def _model_words(source: SourceFacts, command: Sequence[str]) -> tuple[str, ...]:
    """Return how a model is read; a module whose inputs were those of rows needs them declared."""
    words = typed_words(command, _CHECKED_MODEL)
    by_rows = source.framework == "torch" and typed_words(command, ("calib",))
    if not by_rows or typed_words(command, ("input",)) or ":" not in source.given:
        return words
    specs = (spec for spec in source.signature.inputs if spec.shape)
    declared = (render_input(InputDeclaration(s.name, s.shape, s.dtype)) for s in specs)
    return (*words, *(word for one in declared for word in ("--input", one)))


def _writing(verb: str, names: Sequence[str], options: Sequence[str]) -> tuple[str, ...]:
    """Return a command that writes elsewhere than where the files lie that it names."""
    return ("onnxq", verb, *names, *options, *_out_beside(verb, (*names, *options)))


def _out_beside(verb: str, words: Sequence[str]) -> tuple[str, ...]:
    """Name a folder for a verb's files where one of the words names a file in the default one."""
    default = Path(str(FLAGS["out"].default)).absolute()
    lies_in = any(default in Path(word).absolute().parents for word in words)
    return ("--out", f"{default.name}-{verb}") if lies_in else ()
