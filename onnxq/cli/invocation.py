"""From the words that were typed to a call of a verb: settings are added, errors are shown."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from onnxq.cli.flags import PRESENTING, SETTING
from onnxq.cli.grouping import Verb, VerbWithParts
from onnxq.cli.hints import fit_hint
from onnxq.cli.presenting import Presentation, present_error, write_text
from onnxq.errors import Interrupted, OnnxqError

if TYPE_CHECKING:
    from onnxq.cli.setting_values import Setting

_BESIDE = (*PRESENTING, *SETTING, "plan")


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """How a verb was called, beside its own options.

    Attributes:
        shown: How to show what it finds.
        command: Words that do the same where there are no settings.
        plan: Whether only to say what would be done.
        settings: Options that were not typed, and hold.
    """

    shown: Presentation
    command: tuple[str, ...]
    plan: bool = False
    settings: "tuple[Setting, ...]" = ()


def verb(
    *,
    headings: Mapping[str, Sequence[str]],
    examples: Sequence[str],
    arguments: Sequence[click.Argument] = (),
    about: str = "",
) -> Callable[[Callable[..., int]], Verb]:
    """Make a command of a function.

    Args:
        headings: Names of its options under each heading of the help.
        examples: Commands that can be pasted.
        arguments: What is given without a flag.
        about: Paragraphs of the help after the function's own.

    Returns:
        A decorator. The function takes an :class:`Invocation` and the options as keywords, and
        returns the exit code; its docstring is the help.
    """

    def make(call: Callable[..., int]) -> Verb:
        text = inspect.cleandoc(call.__doc__ or "")
        return Verb(
            call.__name__,
            call=functools.partial(invoke, call),
            text=f"{text}\n\n{about}".rstrip(),
            summary=text.partition("\n")[0],
            arguments=arguments,
            headings=headings,
            examples=examples,
        )

    return make


def verb_with_parts(
    *, headings: Mapping[str, Sequence[str]], examples: Sequence[str], about: str = ""
) -> Callable[[Callable[..., int]], VerbWithParts]:
    """Make a command of a function that has other commands below it; else as :func:`verb`."""

    def make(call: Callable[..., int]) -> VerbWithParts:
        text = inspect.cleandoc(call.__doc__ or "")
        return VerbWithParts(
            call.__name__,
            call=functools.partial(invoke, call),
            text=f"{text}\n\n{about}".rstrip(),
            summary=text.partition("\n")[0],
            headings=headings,
            examples=examples,
        )

    return make


def invoke(call: Callable[..., int], **given: Any) -> int:  # noqa: ANN401 - as click parsed it
    """Call a command with its options; show the errors that onnxq foresaw.

    Args:
        call: Takes the invocation, then the command's own options.
        given: The parsed options, those of the presentation among them.

    Returns:
        The exit code.
    """
    context = click.get_current_context()
    shown = Presentation(**{name: given[name] for name in PRESENTING})
    own = {name: value for name, value in given.items() if name not in _BESIDE}
    try:
        if "config" in given:
            return _invoke_with_settings(call, context, shown, given, own)
        return call(Invocation(shown=shown, command=context.obj), **own)
    except OnnxqError as error:
        return present_error(error, shown)
    except KeyboardInterrupt:
        return present_error(interrupted(), shown)


def interrupted() -> Interrupted:
    """Return what stands for Ctrl-C where nothing was found out before."""
    return Interrupted("interrupted.", code="OQ184", hint="Run the same command again.")


def _invoke_with_settings(
    call: Callable[..., int],
    context: click.Context,
    shown: Presentation,
    given: Mapping[str, Any],
    own: Mapping[str, Any],
) -> int:
    from onnxq.cli import effective_settings as effective  # noqa: PLC0415 - --help is free of it
    from onnxq.cli.settings import misspelled_variables  # noqa: PLC0415 - --help is free of it

    for sentence in misspelled_variables(os.environ):
        write_text(f"warning: {sentence}\n", sys.stderr)
    settings = effective.effective_settings(context, given["config"], no_config=given["no_config"])
    if shown.verbose:
        for line in effective.settings_lines(settings):
            write_text(f"{line}\n", sys.stderr)
    asked = Invocation(
        shown=shown,
        command=effective.with_settings(context.obj, settings),
        plan=given.get("plan", False),
        settings=settings,
    )
    options = {**own, **{setting.name: setting.value for setting in settings}}
    try:
        return call(asked, **options)
    except KeyboardInterrupt as pressed:
        error = interrupted()
        fit_hint(error, options)
        raise error from pressed
    except OnnxqError as error:
        fit_hint(error, options)
        effective.mention_settings(error, settings)
        raise
