"""The command line: what is there, how it is run, where results live, what is accepted.

Reading order: `registry` (experiments by name), `provenance`, `stored` (a result as read), `pieces` (of runs still
going), `storage` (results on disk), `runner`, `compilation_cache`, `accepted` (numbers of quick runs), `report` (HTML)
in `report_style`, `commands`. Experiments never import from here.
"""
