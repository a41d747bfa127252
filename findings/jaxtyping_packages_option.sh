#!/usr/bin/env bash
# The pytest option of jaxtyping miscounts its list when several packages meet a checker written with parentheses.
#
# With: jaxtyping 0.3.11, beartype 0.23.1, pytest 9.2.0.
# Expected: `--jaxtyping-packages=alpha,beta,beartype.beartype(conf=...)` checks both packages, as the comment in the
#   plugin says that commas inside the checker's constructor are taken care of.
# Seen: every checked call fails, "'tuple' object is not callable". One package with the same checker passes, and so do
#   two packages with the bare `beartype.beartype`. In the plugin the place of the
#   parenthesis gets lost in a comparison, so one comma is split whatever the number of packages, and the rest of the
#   list, the second package and the checker, is taken for the checker: a tuple.
# Way round: `install_import_hook([...], "beartype.beartype")` in conftest.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jaxtyping==0.3.11 beartype==0.23.1 pytest==9.2.0 numpy==2.4.6
cd "$folder"
for package in alpha beta; do
  mkdir $package
  cat >$package/__init__.py <<'PYTHON'
import numpy as np
from jaxtyping import Float


def double(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return 2 * x
PYTHON
done
cat >test_double.py <<'PYTHON'
import alpha
import beta
import numpy as np


def test_double():
    assert alpha.double(np.ones(3)).sum() == beta.double(np.ones(3)).sum() == 6
PYTHON

run() { "$folder/env/bin/python" -m pytest -q "--jaxtyping-packages=$1" >"$folder/log" 2>&1; }
expect() {
  local wanted=$1 list=$2 found=passes
  run "$list" || found=fails
  printf '%-7s %s\n' "$found" "$list"
  [ "$found" = "$wanted" ] || { echo "CHANGED: it was '$wanted'"; tail -20 "$folder/log"; exit 1; }
}
checker='beartype.beartype(conf=beartype.BeartypeConf(strategy=beartype.BeartypeStrategy.O1))'
expect passes "alpha,$checker"
expect passes 'alpha,beta,beartype.beartype'
expect fails "alpha,beta,$checker"
grep -q "'tuple' object is not callable" "$folder/log" || { echo "CHANGED: another error"; tail -20 "$folder/log"; exit 1; }
echo "as found: 'tuple' object is not callable"
