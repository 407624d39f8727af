"""The style sheet of report.html: one column on a phone, two on a desk, ink on paper in print.

A module and not a file beside it: nothing is read once the agent runs. The page's policy names it by its hash.
"""

from __future__ import annotations

CSS = """
:root {
  --paper: #faf9f6; --sheet: #ffffff; --faint: #f1f0eb; --line: #d8d6cf; --rule: #23262a;
  --ink: #1b1d20; --soft: #585d64; --link: #0a4f8f;
  --good: #0a6847; --fair: #3d5a80; --warn: #845400; --bad: #ad1f17;
  --good-wash: #e6f2ec; --fair-wash: #e9eef5; --warn-wash: #faf0d9; --bad-wash: #fbe9e7;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131518; --sheet: #1a1d21; --faint: #22262b; --line: #363b42; --rule: #c9c7c0;
    --ink: #e9e7e1; --soft: #a6abb2; --link: #8fbdf2;
    --good: #5fc795; --fair: #9db8de; --warn: #e6b450; --bad: #ff9183;
    --good-wash: #15291f; --fair-wash: #1b2531; --warn-wash: #2d2412; --bad-wash: #331a17;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.55 var(--sans); -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
a { color: var(--link); text-underline-offset: .18em; text-decoration-thickness: .06em; }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--link);
  outline-offset: 2px; }
h1, h2, h3, p, ol, ul, dl, dd, pre, table, figure { margin: 0; padding: 0; }
ol, ul { list-style: none; }
h1 { font-size: clamp(1.55rem, 1.1rem + 2.3vw, 2.6rem); line-height: 1.16; letter-spacing: -.018em;
  font-weight: 650;
     max-width: 24ch; text-wrap: balance; }
h2 { font-size: 1.2rem; line-height: 1.3; letter-spacing: -.005em; font-weight: 650; }
h3 { font-size: 1rem; line-height: 1.4; font-weight: 600; }
code, pre, .mono { font-family: var(--mono); font-size: .875em; }
small, .small { font-size: .8125rem; }
.soft { color: var(--soft); }
.sheet { max-width: 76rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
.kicker { font-size: .8125rem; color: var(--soft); display: flex; flex-wrap: wrap; gap: .25rem 1rem;
  justify-content: space-between;
          border-bottom: 2px solid var(--rule); padding-bottom: .5rem; margin-bottom: 1.5rem; }
.kicker b { color: var(--ink); font-weight: 650; }
.standing { display: inline-flex; align-items: center; gap: .5rem; font-weight: 650;
  padding: .3rem .8rem .3rem .6rem;
            border: 1.5px solid currentColor; border-radius: 2rem; margin-bottom: 1rem; }
.standing svg { width: 1.1rem; height: 1.1rem; fill: none; stroke: currentColor; stroke-width: 2; flex: none; }
.good { color: var(--good); } .fair { color: var(--fair); } .warn { color: var(--warn); } .bad {
  color: var(--bad); }
.standing.good { background: var(--good-wash); } .standing.fair { background: var(--fair-wash); }
.standing.warn { background: var(--warn-wash); } .standing.bad { background: var(--bad-wash); }
.worth { font-size: 1.0625rem; max-width: 62ch; margin-top: .9rem; }
.claim { max-width: 62ch; margin-top: .4rem; color: var(--soft); }
.alarm { border: 2px solid currentColor; border-left-width: .6rem; padding: .8rem 1rem; margin-bottom: 1.5rem;
  font-size: 1.0625rem; }
.alarm.warn { background: var(--warn-wash); } .alarm.bad { background: var(--bad-wash); }
.alarm strong { display: block; letter-spacing: .02em; }
.alarm span { color: var(--ink); }
.facts { margin-top: 1.25rem; font-size: .875rem; }
.facts div { display: grid; grid-template-columns: 4rem minmax(0, 1fr); gap: .75rem; padding: .3rem 0;
  border-bottom: 1px solid var(--line); }
.facts div:first-child { border-top: 1px solid var(--line); }
.facts dt { color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(2, 1fr); margin: 1.75rem 0 0;
  border-top: 1px solid var(--line); }
.figures div { padding: .7rem .75rem .7rem 0; border-bottom: 1px solid var(--line); display: flex;
  flex-direction: column-reverse;
               justify-content: flex-end; }
.figures dt { font-size: .8125rem; color: var(--soft); }
.figures dd { font-size: 1.55rem; line-height: 1.2; font-weight: 600; letter-spacing: -.02em;
  overflow-wrap: normal; }
section { border-top: 1px solid var(--rule); margin-top: 2.5rem; padding-top: 1rem; scroll-margin-top: 1rem; }
section > div { margin-top: .9rem; }
section > div > * + * { margin-top: 1rem; }
.lede { margin-top: .35rem; color: var(--soft); font-size: .875rem; }
.empty { color: var(--soft); padding: .9rem 1rem; border: 1px dashed var(--line); background: var(--sheet); }
.more { color: var(--soft); font-size: .875rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin-top: 1.25rem; font-size: .875rem; }

.lanes li { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .75rem; padding: .3rem 0; }
.lanes svg { width: 100%; height: 1.1rem; display: block; }
.lanes .whole svg { height: 3.6rem; }
.lanes .whole .lane-name { font-weight: 600; }
.lane-name { min-width: 0; font-size: .8125rem; }
.lane-count { color: var(--soft); font-size: .8125rem; }
.line { fill: var(--line); } .yes { fill: var(--good); } .no { fill: var(--bad); } .share { fill: var(--soft); }
.axis { display: flex; justify-content: space-between; font-size: .75rem; color: var(--soft);
  border-top: 1px solid var(--line);
        padding-top: .25rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .8125rem; color: var(--soft); }
.legend svg { width: .7rem; height: .7rem; margin-right: .35rem; }

table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem .5rem 0;
  border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { font-size: .8125rem; color: var(--soft); border-bottom-color: var(--rule); white-space: nowrap;
  vertical-align: bottom; }
td.number, th.number { text-align: right; padding-right: 0; padding-left: .75rem; white-space: nowrap;
  overflow-wrap: normal; }
tfoot td, tfoot th { font-weight: 600; border-bottom: 0; }
.bar { display: block; width: 100%; min-width: 4rem; height: .25rem; margin-top: .35rem; }
.ways { display: block; color: var(--soft); font-size: .8125rem; }

.denials > li { border-bottom: 1px solid var(--line); padding: .9rem 0 1rem; display: grid;
  grid-template-columns: minmax(0, 1fr); gap: .5rem 1.5rem; }
.denials > li:first-child { border-top: 1px solid var(--line); }
.denials h3 { font-family: var(--mono); font-size: .9375rem; }
.times { display: inline-block; font-size: .8125rem; font-weight: 650; color: var(--bad);
  border: 1.5px solid currentColor; border-radius: .3rem;
         padding: 0 .4rem; margin-right: .5rem; }
.times.warn { color: var(--warn); }
.reason { margin-top: .15rem; font-size: .9375rem; }
.would { font-size: .8125rem; color: var(--soft); }
pre { background: var(--faint); border-left: 3px solid var(--line); padding: .6rem .8rem; font-size: .8125rem;
  line-height: 1.5;
      white-space: pre-wrap; overflow-wrap: anywhere; }
pre.command { background: var(--sheet); border: 1px solid var(--line); border-left: 3px solid var(--link);
  font-size: .875rem; }

.pairs { display: grid; grid-template-columns: 1fr; font-size: .9375rem; }
.pairs div { padding: .45rem 0; border-bottom: 1px solid var(--line); }
.pairs dt { color: var(--soft); font-size: .8125rem; }
.probes { columns: 17rem 3; column-gap: 2rem; font-size: .8125rem; margin-top: .75rem; }
.probes div { display: flex; justify-content: space-between; gap: 1rem; border-bottom: 1px solid var(--line);
  padding: .2rem 0; break-inside: avoid; }
.probes dt { color: var(--soft); }
.probes dd { text-align: right; font-family: var(--mono); font-size: .75rem; }
.points li { padding-left: 1.1rem; position: relative; max-width: 72ch; }
.points li::before { content: "\\2013"; position: absolute; left: 0; color: var(--soft); }
.points li + li { margin-top: .3rem; }
.code { font-weight: 600; margin-right: .5rem; }
summary { cursor: pointer; color: var(--link); }
.source { counter-reset: line; font-size: .75rem; margin-top: .75rem; background: var(--faint); padding: .6rem 0; }
.source li { display: flex; unicode-bidi: isolate; direction: ltr; font-family: var(--mono); line-height: 1.55; }
.source li::before { counter-increment: line; content: counter(line); flex: 0 0 3.2rem; text-align: right;
  padding-right: .8rem;
                     color: var(--soft); user-select: none; }
.source code { font-size: 1em; white-space: pre-wrap; unicode-bidi: bidi-override; min-width: 0;
  padding-right: .75rem; }
.source li:target { background: var(--warn-wash); box-shadow: inset 3px 0 var(--warn); }
footer { margin-top: 3rem; border-top: 2px solid var(--rule); padding-top: .75rem; font-size: .8125rem;
  color: var(--soft); max-width: none; }

@media (max-width: 39.99rem) {
  table.folds, table.folds tbody, table.folds tfoot, table.folds tr, table.folds th, table.folds td,
  table.folds caption { display: block; }
  table.folds thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
    white-space: nowrap; }
  table.folds tr { display: grid; grid-template-columns: 1fr 1fr; gap: .1rem 1rem; padding: .65rem 0;
    border-bottom: 1px solid var(--line); }
  table.folds th { grid-column: 1 / -1; border: 0; padding: 0; }
  table.folds td { border: 0; padding: 0; display: flex; flex-wrap: wrap; align-items: baseline;
    justify-content: space-between;
    gap: 0 .5rem; text-align: right; }
  table.folds td::before { content: attr(data-label); color: var(--soft); font-size: .8125rem; }
  table.folds td.number { padding: 0; }
}
@media (min-width: 40rem) {
  .sheet { padding: 2rem 2rem 4rem; }
  .figures { grid-template-columns: repeat(3, 1fr); }
  .lanes li { display: grid; grid-template-columns: 15rem 1fr 12rem; align-items: center; padding: .2rem 0; }
  .lanes svg { grid-column: 2; grid-row: 1; }
  .lanes .lane-count { text-align: right; }
  .axis { margin-left: calc(15rem + .75rem); margin-right: calc(12rem + .75rem); }
  table.folds thead th:first-child { width: 45%; }
  .pairs div { display: grid; grid-template-columns: 11rem 1fr; gap: 1rem; }
  .pairs dt { font-size: .875rem; }
}
@media (min-width: 64rem) {
  section { display: grid; grid-template-columns: 11rem minmax(0, 1fr); column-gap: 2.5rem;
    padding-top: 1.25rem; margin-top: 3rem; }
  section > div { margin-top: 0; }
  .hero { display: grid; grid-template-columns: minmax(0, 1fr) 22rem; column-gap: 3rem; align-items: end; }
  .figures { grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }
  section > header { position: sticky; top: 1.25rem; align-self: start; }
  .denials > li { grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr); }
}
@media print {
  :root {
    --paper: #fff; --sheet: #fff; --faint: #f4f4f2; --line: #c9c9c4; --rule: #000; --ink: #000; --soft: #444;
    --link: #000;
    --good: #0a6847; --fair: #3d5a80; --warn: #845400; --bad: #ad1f17;
    --good-wash: #fff; --fair-wash: #fff; --warn-wash: #fff; --bad-wash: #fff; color-scheme: light;
  }
  @page { margin: 16mm 14mm; }
  html { font-size: 9.5pt; }
  .sheet { padding: 0; max-width: none; }
  nav { display: none; }
  section { break-inside: auto; margin-top: 1.6rem; }
  section > header { position: static; break-after: avoid; }
  h2, h3, caption { break-after: avoid; }
  .denials > li { grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr); }
  tr, .denials > li, .lanes li, .pairs div, .figures div, .alarm, pre { break-inside: avoid; }
  thead { display: table-header-group; }
  tfoot { display: table-row-group; }
  table { break-inside: avoid; }
  svg path, svg rect, .alarm, .standing, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; display: block; }
  summary { list-style: none; color: inherit; }
}
"""
