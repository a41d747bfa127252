#!/usr/bin/env bash
# A file that is written through fsspec is completed when the `with` block is left by an error: half of it looks like all of it.
#
# With: fsspec 2026.9.0 (the filesystems "memory" and "file"), s3fs not needed.
# Expected: as with a database transaction or an atomic writer, an exception inside `with fs.open(path, "wb")` leaves no new file, or the
#   old one.
# Seen: leaving the block closes the file, and closing flushes and commits what was written so far, whatever the reason. A reader finds
#   a file of the right name with the first part of the bytes; an older file of that name is gone. The transaction of the filesystem
#   (`with fs.transaction`) does discard it. For stores where a file appears only on close (memory, S3's multi-part uploads), closing
#   is what makes it visible.
# Way round: write under another name and move, or commit by something written last. lightecho does the latter: a checkpoint is there
#   once its manifest is, which names every file with its length and checksum (`nn/checkpoint/commit.py`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet fsspec==2026.9.0
cd "$folder"
cat >run.py <<'PYTHON'
import os

import fsspec


def interrupted(fs, path):
    with fs.open(path, "wb") as file:
        file.write(b"first half")
        raise RuntimeError("the disk of the source went away")


seen = {}
for name, path in (("memory", "/state"), ("file", os.path.abspath("state"))):
    fs = fsspec.filesystem(name)
    with fs.open(path, "wb") as file:
        file.write(b"the old state, whole")
    try:
        interrupted(fs, path)
    except RuntimeError:
        pass
    seen[name] = fs.cat_file(path)
    print(f"{name}: after the error the file holds {seen[name]!r}")
    with fs.open(path, "wb") as file:
        file.write(b"the old state, whole")
    try:
        with fs.transaction:
            interrupted(fs, path)
    except RuntimeError:
        pass
    seen[name, "transaction"] = fs.cat_file(path)
    print(f"{name}, in a transaction: {seen[name, 'transaction']!r}")
half, whole = b"first half", b"the old state, whole"
wanted = {"memory": half, "file": half, ("memory", "transaction"): whole, ("file", "transaction"): whole}
raise SystemExit(0 if seen == wanted else 1)
PYTHON
env/bin/python run.py || { echo CHANGED; exit 1; }
echo "as found"
