"""The commands: flags become calls of the verbs; what comes back is shown.

Nothing but click is imported here: ``onnxq --help`` must be there at once. The options are
called what the verbs' keywords are called; the type checker sees it, and a test.
"""

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from onnxq.cli.grouping import Verb, Verbs
from onnxq.cli.presenting import Presentation, present_error, write_bytes, write_text
from onnxq.cli.run_options import RUN_EXAMPLES, RUN_HEADINGS, run_options
from onnxq.cli.screen import ColorChoice
from onnxq.errors import Interrupted, OnnxqError, UsageError

if TYPE_CHECKING:
    from onnxq.reports import Report

_LIMIT_BROKEN = 3
_SHOWN = ("json", "quiet", "verbose", "color", "help")


class RunOptions(TypedDict):
    """The keywords of :func:`onnxq.verbs.run` that are flags."""

    model: str
    weights: str
    input: tuple[str, ...]
    data: str
    calib: str
    preprocess: str
    map: tuple[str, ...]
    classes: str
    recipe: tuple[str, ...]
    max_drop: str
    min_speedup: str
    max_size: str
    threads: tuple[int, ...]
    batch: int
    seconds: float
    limit: int
    seed: int
    out: str
    overwrite: bool
    check: bool
    allow_chance_accuracy: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The words after ``onnxq``; without them those of this process.

    Returns:
        The exit code: 0 done, 1 failed, 2 usage, 3 a limit is not met, 130 or 143 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = onnxq.main(words, prog_name="onnxq", standalone_mode=False, obj=("onnxq", *words))
    except click.exceptions.NoArgsIsHelpError as error:
        write_text(f"{error.format_message()}\n", sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        return present_error(_usage_error(error), Presentation(json="--json" in words))
    except (click.Abort, KeyboardInterrupt):
        return present_error(_interrupted(), Presentation(json="--json" in words))
    return code if isinstance(code, int) else 0


def _usage_error(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "onnxq"
    return UsageError(error.format_message(), code="OQ100", hint=f"See {path} --help.")


def _interrupted() -> Interrupted:
    return Interrupted("interrupted.", code="OQ184", hint="Run the same command again.")


def presented(call: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options that say how to show things, and show its errors.

    Args:
        call: Takes the presentation, then the command's own options; returns the exit code.

    Returns:
        The function to make a command of.
    """

    @click.option("--json", is_flag=True, help="One JSON document on stdout, nothing else.")
    @click.option("-q", "--quiet", count=True, help="No progress; -qq: no report either.")
    @click.option(
        "-v", "--verbose", count=True, help="More: the code that serves the model, every tensor."
    )
    @click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Colours.  [default: auto: a terminal without NO_COLOR]",
    )
    @functools.wraps(call)
    def command(
        *, json: bool, quiet: int, verbose: int, color: ColorChoice, **options: object
    ) -> int:
        shown = Presentation(json=json, quiet=quiet, verbose=verbose, color=color)
        try:
            return call(shown, **options)
        except OnnxqError as error:
            return present_error(error, shown)
        except KeyboardInterrupt:
            return present_error(_interrupted(), shown)

    return command


@click.group(cls=Verbs)
@click.version_option(None, "-V", "--version", package_name="onnxq", message="%(prog)s %(version)s")
def onnxq() -> None:
    """Turn a Keras, PyTorch or ONNX model into a smaller, faster ONNX model.

    And know exactly what it cost.
    """


@onnxq.command(
    cls=Verb,
    headings={**RUN_HEADINGS, "Output": ("out", "overwrite", *_SHOWN)},
    examples=RUN_EXAMPLES,
)
@run_options
@presented
def run(shown: Presentation, **options: Unpack[RunOptions]) -> int:
    """Convert, check, quantize, measure and judge a model.

    MODEL is a .keras, .h5 or .onnx file, or a PyTorch factory: pkg.mod:fn or file.py:fn.
    """
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it

    words: tuple[str, ...] = click.get_current_context().obj
    with listening(shown) as tell:
        report = verbs.run(**options, command=words, tell=tell)
    _show_report(report, shown, options["out"])
    return 0 if report.verdict.limits_met else _LIMIT_BROKEN


def _show_report(report: "Report", shown: Presentation, out: str) -> None:
    from onnxq.reports import report_to_json  # noqa: PLC0415 - --help must not load it

    if shown.json:
        write_bytes(report_to_json(report), sys.stdout)
    elif shown.shows_report:
        from onnxq.cli.render import render_report  # noqa: PLC0415 - rich, for text alone
        from onnxq.snippets import serving_snippet  # noqa: PLC0415 - --help must not load it

        files = sorted(path.name for path in Path(out).iterdir()) if Path(out).is_dir() else []
        snippet = serving_snippet(report, report.verdict.alias) if shown.verbose else ""
        screen = shown.screen(sys.stdout)
        text = render_report(report, screen, out=out, files=files, snippet=snippet)
        write_text(text, sys.stdout)


@onnxq.command(
    cls=Verb,
    headings={"Output": _SHOWN},
    examples=(
        "onnxq inspect model.onnx",
        "onnxq inspect onnxq-out/model.int8.onnx --json",
    ),
)
@click.argument("model")
@presented
def inspect(shown: Presentation, model: str) -> int:
    """Show an .onnx file: signature, operators, how each tensor is quantized."""
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.documents import tagged_json  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it

    with listening(shown) as tell:
        found = verbs.inspect(model, tell=tell)
    if shown.json:
        write_bytes(tagged_json("inspection", found), sys.stdout)
    elif shown.shows_report:
        from onnxq.cli.render_inspection import render_inspection  # noqa: PLC0415 - rich

        everything = shown.verbose > 0
        screen = shown.screen(sys.stdout)
        write_text(render_inspection(found, model, screen, everything=everything), sys.stdout)
    return 0


@onnxq.command(
    cls=Verb,
    headings={"Output": _SHOWN},
    examples=("onnxq doctor", "onnxq doctor model.keras"),
)
@click.argument("file", default="")
@presented
def doctor(shown: Presentation, file: str) -> int:
    """Describe this machine and its packages, and what FILE would need.

    Nothing is installed, and no code of FILE is run.
    """
    from onnxq import verbs  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.documents import tagged_json  # noqa: PLC0415 - --help must not load it
    from onnxq.cli.listening import listening  # noqa: PLC0415 - --help must not load it

    with listening(shown) as tell:
        found = verbs.doctor(file, tell=tell)
    if shown.json:
        write_bytes(tagged_json("doctor", found), sys.stdout)
    elif shown.shows_report:
        from onnxq.cli.render_doctor import render_doctor  # noqa: PLC0415 - rich

        write_text(render_doctor(found, shown.screen(sys.stdout)), sys.stdout)
    return 0
