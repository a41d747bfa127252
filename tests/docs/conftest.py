"""The modules that build the documentation lie beside it, outside of the packages."""

import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
sys.path += [str(DOCS), str(DOCS / "_ext")]
