"""Every flag, defined once: one name, one meaning, one help text, whichever verb has it.

A flag is called what the verb's keyword is called, and what the key in ``onnxq.toml`` is called.
"""

import click

from onnxq.cli.building_flags import CALIBRATION, RECIPES, TUNING
from onnxq.cli.input_flags import DATA, MODEL
from onnxq.cli.measuring_flags import JUDGING, LIMITS, MEASURING
from onnxq.cli.output_flags import OUTPUT, SHOWN

FLAGS: dict[str, click.Option] = {
    str(option.name): option
    for group in (
        MODEL,
        DATA,
        CALIBRATION,
        JUDGING,
        RECIPES,
        TUNING,
        LIMITS,
        MEASURING,
        OUTPUT,
        SHOWN,
    )
    for option in group
}
"""Every flag by its keyword."""

PRESENTING = ("json", "quiet", "verbose", "color")
"""Flags that say how things are shown; every verb has them, and no keyword is called so."""

SETTING = ("config", "no_config")
"""Flags of the verbs whose options may come from a file."""

SHOWN_LAST = (*PRESENTING, *SETTING, "help")
"""What ends the help of a verb whose options may come from a file."""

SETTABLE: dict[str, click.Option] = {
    name: flag for name, flag in FLAGS.items() if name not in {*PRESENTING, *SETTING, "plan"}
}
"""Flags that a file or a variable may set: the keywords of the verbs."""


def flag_of(name: str) -> str:
    """Return the long form of the flag that a keyword has."""
    return max(FLAGS[name].opts, key=len)
