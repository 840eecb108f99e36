"""The entry: words become a command, whatever goes wrong becomes an exit code."""

import sys
from collections.abc import Sequence

import click

from onnxq.cli.commands.calibrate import calibrate
from onnxq.cli.commands.completion import completion
from onnxq.cli.commands.convert import convert
from onnxq.cli.commands.doctor import doctor
from onnxq.cli.commands.inspect import inspect
from onnxq.cli.commands.merge import merge
from onnxq.cli.commands.profile import profile
from onnxq.cli.commands.quantize import quantize
from onnxq.cli.commands.recipes import recipes
from onnxq.cli.commands.repair import repair
from onnxq.cli.commands.rewrites import rewrites
from onnxq.cli.commands.run import run
from onnxq.cli.grouping import Verbs
from onnxq.cli.invocation import interrupted
from onnxq.cli.presenting import Presentation, present_error, write_text
from onnxq.cli.standard_streams import replace_closed_streams
from onnxq.errors import UsageError

_NOTES = {
    "Options in a file": "onnxq.toml in the working folder, or [tool.onnxq] in its "
    'pyproject.toml, holds options under their names: max-drop = "1pp" for every command that '
    "has it, below [run] for that one. ONNXQ_MAX_DROP=1pp beats the file, a flag beats both. "
    "--trust, --overwrite and names of functions are read only from a file named by --config."
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The words after ``onnxq``; without them those of this process.

    Returns:
        The exit code: 0 done, 1 failed, 2 usage, 3 a limit is not met, 130 or 143 interrupted.
    """
    replace_closed_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = onnxq.main(words, prog_name="onnxq", standalone_mode=False, obj=("onnxq", *words))
    except click.exceptions.NoArgsIsHelpError as error:
        write_text(f"{error.format_message()}\n", sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        return present_error(_usage_error(error), Presentation(json="--json" in words))
    except (click.Abort, KeyboardInterrupt):
        return present_error(interrupted(), Presentation(json="--json" in words))
    return code if isinstance(code, int) else 0


def _usage_error(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "onnxq"
    return UsageError(error.format_message(), code="OQ100", hint=f"See {path} --help.")


@click.group(cls=Verbs, notes=_NOTES)
@click.version_option(None, "-V", "--version", package_name="onnxq", message="%(prog)s %(version)s")
def onnxq() -> None:
    """Turn a Keras, PyTorch or ONNX model into a smaller, faster ONNX model.

    And know exactly what it cost.
    """


for _command in (
    run,
    convert,
    quantize,
    repair,
    calibrate,
    merge,
    profile,
    inspect,
    recipes,
    rewrites,
    doctor,
    completion,
):
    onnxq.add_command(_command)
