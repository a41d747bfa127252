"""Style and frame of the pages of `report`: nothing in them asks the network for anything."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5b6670; --line: #dfe3e7; --accent: #0068a3;
  --paper: #fff; --ground: #f5f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7eb; --soft: #a3adb7; --line: #3a424b; --accent: #6bb8ea; --paper: #1d2227; --ground: #14181c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--ground);
  font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; overflow-wrap: break-word; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; } h2 { margin: 2.5rem 0 0; font-size: 1.25rem; }
h3 { margin: 0; font-size: 1.1rem; line-height: 1.35; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .92em; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; margin: .8rem 0 0; }
article { margin: 1.5rem 0; padding: 1.5rem 1.75rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: 8px; }
.card { display: grid; grid-template-columns: 15rem 1fr; gap: 1.5rem; align-items: start; }
.card p { margin: .35rem 0 0; }
.back { margin: 0 0 .75rem; }
.origin, .sources, .waiting, .lead { color: var(--soft); margin: .25rem 0 0; }
.sources { font-size: .85rem; }
/* Figures have a white ground of their own, which stays a sheet of paper on a dark page. */
article img { display: block; max-width: 100%; height: auto; margin: 0 auto; background: #fff; border-radius: 4px; }
article > img { margin-bottom: 1.25rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--ink); padding: .3rem .6rem; }
td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; vertical-align: top; }
td.name { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .82rem; }
td.number { text-align: right; white-space: nowrap; }
th:nth-child(n+2):nth-child(-n+5) { text-align: right; }
.comparison td.note { color: var(--soft); min-width: 11rem; }
td .source { border-bottom: 1px dotted var(--soft); cursor: help; }
/* Where there is no pointer to hover, a tap gives the focus. */
td .source:focus::after { content: attr(data-place); display: block; color: var(--soft); white-space: normal;
  max-width: 16rem; margin-left: auto; }
.facts { display: flex; flex-wrap: wrap; gap: .1rem 1.5rem; margin: 1.1rem 0 .6rem; font-size: .85rem; }
.facts div { display: flex; gap: .35rem; } .facts dt { color: var(--soft); } .facts dd { margin: 0; }
details { margin-top: .6rem; font-size: .9rem; } summary { cursor: pointer; color: var(--accent); }
details ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.config { width: auto; margin-top: .5rem; } .config td:first-child { font-family: ui-monospace, Menlo, monospace; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
@media (max-width: 42rem) {
  body { padding: 1.25rem .75rem 3rem; } h1 { font-size: 1.35rem; }
  article { padding: 1rem; } .card { grid-template-columns: 1fr; gap: .9rem; }
  /* A row of the comparison becomes a few lines, or our number would lie outside the window. */
  .comparison thead { display: none; } .comparison tr { display: block; padding: .4rem 0; }
  .comparison tr { border-bottom: 1px solid var(--line); }
  .comparison td, .comparison td.number { display: inline; border: 0; padding: 0 .9rem 0 0; white-space: normal; }
  .comparison td:empty, .comparison td.number:empty { display: none; }
  .comparison td.name, .comparison td.note:not(:empty) { display: block; }
  .comparison td.number:not(:empty)::before { color: var(--soft); }
  .comparison td:nth-child(2):not(:empty)::before { content: "paper "; }
  .comparison td:nth-child(3):not(:empty)::before { content: "ours "; }
  .comparison td:nth-child(4):not(:empty)::before { content: "ratio "; }
  .comparison td:nth-child(6):not(:empty)::before { content: "comparable: "; }
}
@media print { body { background: #fff; } article { break-inside: avoid; } }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{lead}
{body}
<footer>Written {date} by <code>lightecho report</code>.</footer>
</body>
</html>
"""
