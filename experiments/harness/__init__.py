"""What every experiment speaks: numbers with errors, outcomes, comparison, figures, resumable pieces.

Reading order: `errors`, `fields` (rules of a configuration), `ranges` (those of every one), `measurement` (published
and our numbers), `comparison`, `outcome`, `png`, `plotting`, `files`, `programs` (time and memory of compiled ones);
`settings` (precision, device), `progress`, `relay` (a piece in another process), `context`, `jobs` (processes of this
machine), `cluster` (Dask).
"""
