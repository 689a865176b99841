"""The look that all pages share, light and dark, on a screen, a phone and paper."""

BASE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5c6675;--line:#dfe3e9;
--a:#0072b2;--b:#d55e00;--warn:#8a5a00;--warnbg:#fff3d6;--bad:#a31621;--badbg:#fde4e4;--chip:#eef1f5;
--good:#12663f;--goodbg:#ddf3e6}
@media screen and (prefers-color-scheme:dark){
:root{--bg:#12161c;--card:#1b212a;--ink:#e6eaf0;
--soft:#9aa5b4;--line:#2d3642;--a:#4fb0e8;--b:#f2924a;--warn:#f0c66b;--warnbg:#3a2e12;--bad:#ff9a9a;
--badbg:#42191c;--chip:#262e39;--good:#7bd6a5;--goodbg:#163524}
}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.45 system-ui,sans-serif}
main{max-width:1240px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:22px;margin:0 0 2px;overflow-wrap:anywhere}
h2{font-size:17px;margin:34px 0 10px}
h3{font-size:14px;margin:0;overflow-wrap:anywhere}
a{color:var(--a)}
.soft,.none{color:var(--soft)}
.none{font-style:italic;margin:6px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(132px,1fr));gap:10px;
margin:16px 0}
.tile,.box{background:var(--card);border:1px solid var(--line);border-radius:8px}
.tile{padding:10px 12px}
.tile b{display:block;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
.box{padding:14px 16px;margin:10px 0}
.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 14px;margin:0}
.facts dt{color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere}
.key{display:inline-flex;align-items:center;gap:6px;margin-right:16px}
.key i{width:12px;height:12px;border-radius:3px;display:inline-block}
.key .side0{background:var(--a)}.key .side1{background:var(--b)}
.bar{position:sticky;top:0;z-index:2;background:var(--bg);padding:10px 0;display:flex;
flex-wrap:wrap;gap:8px 14px;align-items:center;border-bottom:1px solid var(--line)}
.bar input[type=search],.bar select{font:inherit;color:inherit;background:var(--card);
border:1px solid var(--line);border-radius:6px;padding:6px 9px;min-width:0}
.bar input[type=search]{flex:1 1 180px}
.chip{background:var(--chip);color:var(--soft);border-radius:99px;padding:1px 8px;font-size:12px;
white-space:nowrap}
.chip.block,li.block::marker{color:var(--bad)}.chip.block{background:var(--badbg)}
.chip.good{color:var(--good);background:var(--goodbg)}
.chip.warn{color:var(--warn);background:var(--warnbg)}
.found{margin:6px 0;padding-left:18px;font-size:12.5px;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-weight:400;text-align:left}
.numbers{margin-top:6px;font-size:13px}
.numbers th{color:var(--soft);padding:1px 8px 1px 0}
.numbers td{text-align:right;padding:1px 0 1px 8px;white-space:nowrap}
.numbers thead th{text-align:right;font-size:12px}
i.side0{background:var(--a)}i.side1{background:var(--b)}
.list{table-layout:fixed}
.list th{width:34%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;padding:3px 10px 3px 0}
.list i{display:block;height:9px;border-radius:2px;min-width:1px}
.list td:last-child{width:70px;text-align:right}
summary{cursor:pointer}
@media(max-width:520px){main{padding:14px 10px 40px}.bar{position:static}h1{font-size:19px}
.list th{width:46%}}
@media print{.bar{display:none}}
"""
