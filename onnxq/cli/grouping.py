"""Help that is read from top to bottom: what it does, options under headings, examples last."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


class Verb(click.Command):
    """A command whose help groups its options.

    Attributes:
        headings: Parameter names under each heading, in the order shown.
        examples: Commands that can be pasted.
    """

    def __init__(
        self,
        name: str | None,
        *,
        headings: Mapping[str, Sequence[str]],
        examples: Sequence[str],
        **kwargs: Any,  # noqa: ANN401 - passed on to click
    ) -> None:
        super().__init__(name, context_settings=_CONTEXT, **kwargs)
        self.headings = headings
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one section a heading."""
        # click stores its own --help under a name that is not the same in all versions.
        options = {"help" if "--help" in p.opts else p.name: p for p in self.get_params(ctx)}
        for heading, names in self.headings.items():
            records = [options[name].get_help_record(ctx) for name in names]
            with formatter.section(heading):
                formatter.write_dl([record for record in records if record])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the examples as they are, without wrapping."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")


class Verbs(click.Group):
    """The commands, in the order in which they were added."""

    def __init__(self, name: str | None, **kwargs: Any) -> None:  # noqa: ANN401 - passed on to click
        super().__init__(name, context_settings=_CONTEXT, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands' names, unsorted: the one that most people need comes first."""
        return list(self.commands)
