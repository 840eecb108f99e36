"""``onnxq completion``: a script for the shell."""

import sys

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from onnxq.cli.grouping import Verb
from onnxq.cli.presenting import write_text

SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}
COMPLETE_VARIABLE = "_ONNXQ_COMPLETE"

_TEXT = """Print a script that completes commands, options, recipes and files.

Write it where the shell looks, and open a new one:

\b
bash:  ~/.local/share/bash-completion/completions/onnxq
zsh:   "${fpath[1]}/_onnxq"
fish:  ~/.config/fish/completions/onnxq.fish

Or have it in this shell alone: eval "$(onnxq completion bash)"
"""


def _print_script(shell: str) -> int:
    group = click.get_current_context().find_root().command
    script = SHELLS[shell](group, {}, "onnxq", COMPLETE_VARIABLE)
    write_text(script.source(), sys.stdout)
    return 0


completion = Verb(
    "completion",
    call=_print_script,
    text=_TEXT,
    summary="Print a script that completes commands in a shell.",
    arguments=(click.Argument(["shell"], type=click.Choice(tuple(SHELLS))),),
    headings={"Output": ("help",)},
    examples=("onnxq completion fish > ~/.config/fish/completions/onnxq.fish",),
)
