"""The style sheet of the page: light and dark by the reader's setting, readable at the width of a telephone."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f8; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --link: #0550ae;
  --wrong: #b3121d; --doubtful: #7a4b00; --good: #116329; --info: #0550ae;
  --positive: #c2410c; --negative: #1d4ed8; --bar: #57606a;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --panel: #161b22; --text: #e6edf3; --quiet: #9ea7b3; --line: #3b434d; --link: #79b8ff;
    --wrong: #ff8f87; --doubtful: #e3b341; --good: #56d364; --info: #79b8ff;
    --positive: #fb923c; --negative: #60a5fa; --bar: #9ea7b3;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
header, main, footer { max-width: 75rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; } h3 { font-size: 1.1rem; }
h1, h2, h3 { line-height: 1.25; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--page); padding: .5rem; }
.banner { border-left: .5rem solid; padding: .5rem 1rem; background: var(--panel); font-weight: 600; }
.case { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: .5rem; content-visibility: auto;
  contain-intrinsic-size: auto 40rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; margin: .5rem 0 1rem; font-size: .9rem; overflow-wrap: break-word; }
caption { text-align: left; color: var(--quiet); padding: .25rem 0; }
caption > span { position: sticky; left: 0; display: inline-block; max-width: min(100%, calc(100vw - 2rem)); }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th[scope=row] { font-weight: 500; }
nav th[scope=row] { min-width: 11rem; } nav td:nth-child(2) { min-width: 7rem; }
.case > .scroll th[scope=row] { min-width: 8.5rem; overflow-wrap: anywhere; }
main > section > .scroll th[scope=row] > span { white-space: nowrap; }
pre { background: var(--panel); padding: .75rem; overflow-x: auto; }
code, pre { font: .875rem/1.4 ui-monospace, monospace; }
details { margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
.finding { background: var(--panel); border-left: .35rem solid; padding: .25rem 1rem; margin: 1rem 0; }
.finding > * { color: var(--text); }
.wrong { color: var(--wrong); } .doubtful { color: var(--doubtful); } .good { color: var(--good); }
.info { color: var(--info); } .absent, .quiet { color: var(--quiet); }
.finding > .severity { font-weight: 700; }
.finding.wrong > .severity { color: var(--wrong); } .finding.doubtful > .severity { color: var(--doubtful); }
.finding.info > .severity { color: var(--info); }
dl.named { display: grid; grid-template-columns: fit-content(45%) minmax(0, 1fr); gap: 0 1rem; margin: .5rem 0; }
dl.named dt { color: var(--quiet); } dl.named dd { margin: 0; }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: .5rem 0; width: min-content; min-width: min(15.5rem, 100%); max-width: 100%; overflow-x: auto; }
figure:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
figcaption { font-size: .875rem; color: var(--quiet); padding-top: .25rem; position: sticky; left: 0;
  max-width: calc(100vw - 2rem); }
.legend > span { margin-right: 1rem; white-space: nowrap; }
.swatch { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; }
.swatch.positive { background: var(--positive); } .swatch.negative { background: var(--negative); }
.swatch.bar { background: var(--bar); } .swatch.beyond { background: var(--wrong); }
svg { display: block; }
svg text { fill: var(--text); font: 11px ui-monospace, monospace; paint-order: stroke; stroke: var(--page);
  stroke-width: 3px; }
.frame { fill: none; stroke: var(--line); } .positive { fill: var(--positive); } .negative { fill: var(--negative); }
.bar { fill: var(--bar); } .beyond { fill: var(--wrong); } .nonfinite { fill: var(--wrong); }
.curve { fill: none; stroke: var(--bar); stroke-width: 1.5; }
.mark { fill: none; stroke: var(--wrong); stroke-width: 2; } .limit { stroke: var(--wrong); stroke-dasharray: 3 2; }
@media (max-width: 40rem) { th, td { padding: .25rem .4rem; } ul { padding-left: 1.25rem; } }
@media print {
  body { font-size: .8rem; } header, main, footer { max-width: none; padding: 0; }
  .scroll, figure, pre { overflow: visible; } pre { white-space: pre-wrap; }
  .skip { display: none; } article, figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
}
"""
