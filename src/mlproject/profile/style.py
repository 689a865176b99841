"""What the profile adds to the look that all pages share, and its few lines of script."""

STYLE = """
.feature{background:var(--card);border:1px solid var(--line);border-radius:8px}
.features{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(370px,100%),1fr));gap:12px;
margin-top:12px}
.feature{padding:12px 14px;min-width:0;content-visibility:auto;contain-intrinsic-size:auto 330px}
.feature[hidden]{display:none}
.head{display:flex;flex-wrap:wrap;gap:4px 8px;align-items:baseline;margin-bottom:6px}
svg{max-width:100%;display:block}
svg text{fill:var(--soft);font-size:11px}
.hist{width:100%;height:auto;border-bottom:0}
.hist .side0{fill:var(--a);fill-opacity:.32;stroke:var(--a);stroke-width:1.2}
.hist .side1{fill:none;stroke:var(--b);stroke-width:1.5}
.ticks{stroke:var(--soft);stroke-width:1}
.log .hist .lin,body:not(.log) .hist .log{display:none}
.scroll svg{max-width:none}
.heat rect{width:18px;height:18px;rx:3px;stroke:var(--line);stroke-width:.6}
.plus{fill:var(--a)}.minus{fill:var(--b)}.void{fill:none}
.values{table-layout:fixed;font-size:13px;margin-bottom:4px}
.values th{width:44%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
padding:2px 8px 2px 0}
.values td{padding:2px 0}
.values td:last-child{width:64px;text-align:right;color:var(--soft);padding-left:6px;
font-size:12px;white-space:nowrap}
.two .values td:last-child{width:100px}
.values i{display:block;height:9px;border-radius:2px;min-width:1px}
.values i.side1{height:4px;margin-top:1px}
i.void{visibility:hidden}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(430px,100%),1fr));gap:12px}
.pair .box{margin:0;min-width:0}
@media print{.feature{break-inside:avoid;content-visibility:visible}}
"""

SCRIPT = """
const get=id=>document.getElementById(id),list=get('features');
const cards=[...list.children],search=get('search'),sort=get('sort'),kind=get('kind');
const only=get('only'),log=get('log');
function show(){
  const words=search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let seen=0;
  for(const card of cards){
    const data=card.dataset;
    const fits=words.every(word=>data.name.includes(word))&&(!kind.value||data.kind===kind.value)
      &&(!only||!only.checked||data.anomalies!=='0');
    card.hidden=!fits;
    seen+=fits;
  }
  get('seen').textContent=seen+' of '+cards.length;
}
function order(){
  const by=sort.value;
  const sorted=[...cards].sort((one,two)=>by==='name'
    ?one.dataset.name.localeCompare(two.dataset.name)
    :by==='place'?one.dataset.place-two.dataset.place
    :two.dataset[by]-one.dataset[by]||one.dataset.place-two.dataset.place);
  list.append(...sorted);
}
search.addEventListener('input',show);
for(const input of [kind,only])if(input)input.addEventListener('change',show);
sort.addEventListener('change',order);
log.addEventListener('change',()=>document.body.classList.toggle('log',log.checked));
get('bar').hidden=false;
order();
show();
"""
