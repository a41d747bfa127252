"""What every experiment speaks: numbers with errors, outcomes, comparison, figures, resumable pieces.

Reading order: `errors`, `measurement` (published and our numbers), `comparison`, `outcome`, `plotting`, `context`,
`files`.
"""
