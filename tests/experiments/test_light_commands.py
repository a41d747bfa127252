import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT = """
import sys
before = set(sys.modules)
from experiments.__main__ import main
code = main(sys.argv[1:])
new = {name.split(".")[0] for name in set(sys.modules) - before}
print("code", code, "modules", *sorted(new - set(sys.stdlib_module_names)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        ([], 2),
        (["list"], 0),
        (["run", "--help"], 0),
        (["bench", "--help"], 0),
        (["lst"], 2),
        (["run", "ffm_dpeth"], 2),
        (["run", "--scale", "quick"], 2),
    ],
)
def test_what_needs_no_number_imports_no_package(words, code):
    # Which modules, not how long: JAX, matplotlib, NumPy and tyro are seconds on a slow machine.
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines()[-1] == f"code {code} modules experiments"
