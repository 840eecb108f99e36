"""Draw a real report as the picture of the README: scripts/picture/report.svg.

``python scripts/make_readme_picture.py quickstart-out/torch/report.json``. The picture holds its
own text and style and loads nothing: no font and no address of anything outside the file.
"""

import io
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from onnxq.cli.render import render_report
from onnxq.cli.render_parts import make_console
from onnxq.cli.screen import Screen
from onnxq.reports import Measured, read_report

PICTURE = Path(__file__).parent / "picture" / "report.svg"
COLUMNS = 100

# rich's own template loads a font from a CDN and names its maker's site.
TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
  font-variant-east-asian: full-width;
  white-space: pre;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw_picture(path: Path) -> str:
    """Draw a report as SVG.

    Args:
        path: A ``report.json``; the files beside it are listed as written.

    Returns:
        The picture.
    """
    report = read_report(path)
    screen = Screen(columns=COLUMNS, color=True)
    artefacts = [v.artefact.file for v in report.variants if isinstance(v, Measured)]
    files = (*sorted(artefacts), "report.json", "serve.py")
    text = render_report(report, screen, out=out_folder(report.command), files=files)
    console = make_console(screen, io.StringIO(), record=True)
    console.print(Text.from_ansi(text, no_wrap=True))
    return console.export_svg(
        title="onnxq", theme=DIMMED_MONOKAI, code_format=TEMPLATE, unique_id="onnxq"
    )


def out_folder(command: Sequence[str]) -> str:
    """Return the output folder that a command names."""
    return next(
        (value for flag, value in pairwise(command) if flag in {"-o", "--out"}), "onnxq-out"
    )


def main() -> int:
    """Write the picture of the report that is named on the command line."""
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw_picture(Path(sys.argv[1])), encoding="utf-8")
    print(f"wrote {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
