"""Rewrite tests/goldens from what onnxq shows now; look at the difference before committing it."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Write every golden file, remove those that are no more, and name what changed."""
    sys.path.insert(0, str(ROOT / "tests" / "cli"))
    from golden_files import FOLDER, GOLDENS  # noqa: PLC0415 - found by the line above

    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        if path.name not in GOLDENS:
            path.unlink()
            print(f"removed {path.name}")
    for name, render in GOLDENS.items():
        path = FOLDER / name
        text = render().encode()
        if not path.exists() or path.read_bytes() != text:
            path.write_bytes(text)
            print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
