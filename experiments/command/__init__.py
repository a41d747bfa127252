"""The command line: what is there, how it is run, where results live, what is accepted.

Reading order: `registry` (experiments by name), `provenance`, `storage` (results and pieces of runs), `runner`,
`compilation_cache`, `accepted` (numbers of quick runs), `report` (HTML), `commands`. Experiments never import from
here.
"""
