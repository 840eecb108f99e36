"""The tests of the command line share made-up reports and the list of golden files."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
