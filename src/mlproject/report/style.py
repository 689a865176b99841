"""What the evaluation report adds to the look that all pages share, and its few lines of script."""

STYLE = """
.verdict{font-size:15px;font-weight:600;padding:3px 12px}
.override{border-color:var(--warn);background:var(--warnbg);color:var(--warn)}
.reasons{margin:10px 0 8px;padding-left:20px;overflow-wrap:anywhere}
.plain td,.plain th{padding:4px 14px 4px 0;vertical-align:top;text-align:left}
.plain thead th{color:var(--soft);font-size:12px}
.plain td{overflow-wrap:break-word}
.slices{font-size:13px}
.slices td{text-align:right;padding:3px 0 3px 16px;white-space:nowrap}
.slices tbody th{padding:3px 0;overflow-wrap:anywhere;min-width:150px;max-width:440px}
.slices tbody tr+tr>*{border-top:1px solid var(--line)}
.slices thead th{text-align:right;padding:0 0 4px 16px;white-space:nowrap}
.slices thead th:first-child{text-align:left;padding-left:0}
.slices thead button{all:unset;cursor:pointer;color:var(--soft);font-size:12px}
.slices thead button:focus-visible{outline:2px solid var(--a)}
.slices [aria-sort=ascending] button::after{content:" ▲"}
.slices [aria-sort=descending] button::after{content:" ▼"}
.overall tbody th{min-width:130px;white-space:nowrap}
#more{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);
border-radius:6px;padding:5px 12px;cursor:pointer}
.drops{table-layout:fixed}
.drops td:last-child{width:250px}
.drops .loss{background:var(--b)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(520px,100%),1fr));gap:14px;
align-items:start}
figure{margin:0;padding:10px;background:#fff;border:1px solid var(--line);border-radius:8px;
min-width:0}
figure.wide{grid-column:1/-1}
figure img{display:block;max-width:100%;height:auto;margin:0 auto}
figcaption{color:#5c6675;font-size:12.5px;padding:8px 4px 2px}
@media(max-width:520px){.slices td{padding-left:10px}.slices tbody th{min-width:140px}
.slices th:first-child{position:sticky;left:0;background:var(--card);padding-right:6px}
.drops td:last-child{width:96px}}
@media print{figure,.box{break-inside:avoid}.scroll.box{break-inside:auto;overflow:visible}
#more{display:none}.slices{font-size:10px}.slices thead button::after{content:""}}
"""

SCRIPT = """
const get=id=>document.getElementById(id),data=JSON.parse(get('data').textContent);
const PAGE=100,chips={better:'good',worse:'block','could not judge':'warn'};
const body=get('slices').tBodies[0],heads=[...get('slices').tHead.rows[0].cells];
const lower=data.slices.map(name=>name.toLowerCase());
const compared=heads.length>3;
let key='rows',down=true,shown=PAGE,found=[];
const metric=()=>Number(get('metric').value);
const at=(series,slice,end)=>{
  const values=data.values[metric()][series];
  return values?values[3*slice+(end||0)]:null;
};
function mark(slice){
  if(!compared)return at('candidate',slice)===null?'could not judge':'';
  const better=data.better[metric()],low=at('difference',slice,1),high=at('difference',slice,2);
  if(better===null||at('difference',slice)===null||low===null||high===null)return 'could not judge';
  if(low<=0&&high>=0)return 'not clear';
  return (low>0)===better?'better':'worse';
}
function text(value,sign,scale){
  const small=Math.min(12,1-Math.floor(Math.log10(scale)));
  const digits=scale<1e-3&&scale>0?small:scale<10?4:scale<1000?2:0;
  const said=value.toLocaleString('en',{minimumFractionDigits:digits,maximumFractionDigits:digits});
  return sign&&value>0?'+'+said:said;
}
function add(parent,tag,content,name){
  const made=document.createElement(tag);
  if(content)made.textContent=content;
  if(name)made.className=name;
  parent.append(made);
  return made;
}
function value(row,series,slice,sign){
  const cell=add(row,'td'),[main,low,high]=[0,1,2].map(end=>at(series,slice,end));
  if(main===null){
    if(!sign)add(cell,'span','could not judge','none');
    return;
  }
  const ends=low!==null&&high!==null;
  const scale=Math.max(...(ends?[main,low,high]:[main]).map(Math.abs));
  cell.append(text(main,sign,scale));
  if(ends)add(cell,'span',` [${text(low,sign,scale)}, ${text(high,sign,scale)}]`,'soft');
}
function line(slice){
  const row=document.createElement('tr');
  add(row,'th',data.slices[slice]);
  add(row,'td',data.rows[slice].toLocaleString('en'));
  value(row,'candidate',slice);
  if(compared){
    value(row,'champion',slice);
    value(row,'difference',slice,true);
    const said=mark(slice);
    add(add(row,'td'),'span',said,'chip '+(chips[said]||''));
  }
  return row;
}
function draw(){
  body.replaceChildren(...found.slice(0,shown).map(line));
  const left=found.length-shown;
  get('more').hidden=left<=0;
  get('rest').textContent=left>0?left.toLocaleString('en')+' more':'';
  get('seen').textContent=found.length.toLocaleString('en')+' of '
    +data.slices.length.toLocaleString('en');
  for(const head of heads){
    if(head.dataset.key===key)head.setAttribute('aria-sort',down?'descending':'ascending');
    else head.removeAttribute('aria-sort');
  }
}
function choose(){
  const words=get('search').value.toLowerCase().split(/\\s+/).filter(Boolean);
  const kind=get('kind').value,sign=down?-1:1;
  const rank={worse:0,'could not judge':1,'not clear':2,better:3};
  const of=slice=>key==='rows'?data.rows[slice]:key==='mark'?rank[mark(slice)]:at(key,slice);
  found=[...data.slices.keys()].filter(slice=>words.every(word=>lower[slice].includes(word))
    &&(!kind||mark(slice)===kind));
  const values=new Map(key==='slice'?[]:found.map(slice=>[slice,of(slice)]));
  const names=new Intl.Collator('en',{numeric:true});
  found.sort((one,two)=>{
    if(key==='slice')return sign*names.compare(data.slices[one],data.slices[two]);
    const a=values.get(one),b=values.get(two);
    if(a===null||b===null)return (a===null)-(b===null)||one-two;
    return sign*(a-b)||one-two;
  });
  shown=PAGE;
  draw();
}
get('search').addEventListener('input',choose);
for(const name of ['metric','kind'])get(name).addEventListener('change',choose);
get('more').addEventListener('click',()=>{shown+=PAGE;draw();});
for(const head of heads)head.firstChild.addEventListener('click',()=>{
  down=head.dataset.key===key?!down:head.dataset.key==='rows';
  key=head.dataset.key;
  choose();
});
get('bar').hidden=false;
choose();
"""
