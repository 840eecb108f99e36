"""Help that is read from top to bottom: what it does, options under headings, examples last."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from onnxq.cli.flags import FLAGS

_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
_HELP = "help"
_NO_NOTES: Mapping[str, str] = {}


class Verb(click.Command):
    """A command whose help groups its options, each of them the one of its name in ``FLAGS``.

    Attributes:
        headings: Names of options under each heading, in the order shown; ``help`` is click's.
        examples: Commands that can be pasted.
    """

    def __init__(
        self,
        name: str,
        *,
        call: Callable[..., int],
        text: str,
        summary: str,
        arguments: Sequence[click.Argument],
        headings: Mapping[str, Sequence[str]],
        examples: Sequence[str],
    ) -> None:
        names = [name for names in headings.values() for name in names if name != _HELP]
        super().__init__(
            name,
            context_settings=_CONTEXT,
            callback=call,
            help=text,
            short_help=summary,
            params=[*arguments, *(FLAGS[name] for name in names)],
        )
        self.headings = headings
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one section a heading."""
        write_headings(self, self.headings, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the examples as they are, without wrapping."""
        write_examples(self.examples, formatter)


class Verbs(click.Group):
    """The commands, in the order in which they were added, and what holds for all of them.

    Attributes:
        notes: Paragraphs below the commands, by their titles.
    """

    def __init__(
        self,
        name: str | None,
        notes: Mapping[str, str] = _NO_NOTES,
        **kwargs: Any,  # noqa: ANN401 - passed on to click
    ) -> None:
        super().__init__(name, context_settings=_CONTEXT, **kwargs)
        self.notes = notes

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands' names, unsorted: the one that most people need comes first."""
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the notes."""
        for title, text in self.notes.items():
            with formatter.section(title):
                formatter.write_text(text)


class VerbWithParts(Verbs):
    """A verb that does something by itself and has commands below it.

    Attributes:
        headings: As those of :class:`Verb`.
        examples: As those of :class:`Verb`.
    """

    def __init__(
        self,
        name: str,
        *,
        call: Callable[..., int],
        text: str,
        summary: str,
        headings: Mapping[str, Sequence[str]],
        examples: Sequence[str],
    ) -> None:
        names = [name for names in headings.values() for name in names if name != _HELP]
        super().__init__(
            name,
            callback=call,
            invoke_without_command=True,
            help=text,
            short_help=summary,
            params=[FLAGS[name] for name in names],
        )
        self.headings = headings
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options, one section a heading."""
        self.format_commands(ctx, formatter)
        write_headings(self, self.headings, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the examples as they are, without wrapping."""
        write_examples(self.examples, formatter)


def write_headings(
    command: click.Command,
    headings: Mapping[str, Sequence[str]],
    ctx: click.Context,
    formatter: click.HelpFormatter,
) -> None:
    """Write a command's options, one section a heading."""
    # click stores its own --help under a name that is not the same in all versions.
    options = {_HELP if "--help" in p.opts else p.name: p for p in command.get_params(ctx)}
    for heading, names in headings.items():
        records = [options[name].get_help_record(ctx) for name in names]
        with formatter.section(heading):
            formatter.write_dl([record for record in records if record])


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Write commands as they are, without wrapping."""
    with formatter.section("Examples"):
        for example in examples:
            formatter.write(f"  {example}\n")
