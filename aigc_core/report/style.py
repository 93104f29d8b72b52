"""How a report looks: one column on a phone, several on a wide screen, light or dark."""

STYLE = """
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c1e21;--soft:#656b73;--line:#e2e4e8;
--c0:#2f6fdf;--c1:#d9622b;--c2:#2a9161;--c3:#a04fc4;--c4:#b8860b;--c5:#c93a5e;--c6:#1f8a9b;--c7:#6b6f76}
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1d2024;--ink:#e8eaed;--soft:#9aa2ac;
--line:#33373d;--c0:#7aa7ff;--c1:#ff9a66;--c2:#5fd29b;--c3:#d394f2;--c4:#e6bf54;--c5:#ff7f9d;
--c6:#5fcbdc;--c7:#b0b5bd}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:20px 16px 48px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.55rem;line-height:1.25;margin:.2em 0 .1em;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2em 0 .6em}
h3{font-size:.95rem;margin:1.2em 0 .5em;overflow-wrap:anywhere}
p{margin:.3em 0}
small,.soft{color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:6px 14px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:6px 14px 6px 0;border-bottom:1px solid var(--line)}
tr:last-child>*{border-bottom:0}
tbody th{font-weight:500;color:var(--soft);width:1%;white-space:nowrap}
.one table{table-layout:fixed}
.one th{width:36%;white-space:normal;overflow-wrap:break-word}
.one td.soft{width:24%}
thead th{font-weight:600;overflow-wrap:anywhere}
td{overflow-wrap:break-word}
td.mono,code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.85rem}
.many td{min-width:11em}
tr.differs td{font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:12px}
.charts figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:10px 12px;min-width:0}
figcaption{font-weight:600;font-size:.9rem}
svg{display:block;width:100%;height:auto;margin-top:4px}
svg text{fill:var(--soft);font-size:11px}
svg .y{text-anchor:end}
svg .x{text-anchor:middle}
.grid{stroke:var(--line)}
polyline{fill:none;stroke:var(--c);stroke-width:1.6;stroke-linejoin:round}
polygon{fill:var(--c);opacity:.16}
circle{fill:var(--c)}
.charts ul{list-style:none;margin:4px 0 0;padding:0;font-size:.82rem}
.charts li{display:flex;gap:8px;align-items:baseline}
.charts li::before{content:"";flex:none;width:10px;height:10px;
border-radius:3px;background:var(--c)}
.charts li span{overflow-wrap:anywhere}
.charts li b{margin-left:auto;font-weight:600;font-variant-numeric:tabular-nums}
.film{display:flex;gap:12px;overflow-x:auto;padding-bottom:8px;scroll-snap-type:x proximity}
.film figure{margin:0;flex:0 0 auto;width:min(86vw,360px);scroll-snap-align:start}
.film img{display:block;width:100%;height:auto;border-radius:8px;border:1px solid var(--line);
margin-bottom:6px}
.film pre{margin:0 0 6px;max-height:340px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;
background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px}
.film [controls]{display:block;width:100%;margin-bottom:6px}
.film figcaption{color:var(--soft);font-weight:500}
details>summary{cursor:pointer;padding:6px 0;font-weight:600}
footer{margin-top:2.5em;color:var(--soft);font-size:.85rem}
"""
