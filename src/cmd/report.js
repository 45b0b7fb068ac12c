(function(){
'use strict';
var repeat=document.body.dataset.repeat,list=document.querySelector('ol.tasks');
var items=Array.prototype.slice.call(list.children);
function element(name,text){var e=document.createElement(name);e.textContent=text||'';return e}
function show(square){
 var li=square.closest('li'),pick=li.querySelector('.pick'),row=square.dataset.r;
 li.querySelectorAll('.on').forEach(function(e){e.classList.remove('on')});
 square.classList.add('on');
 pick.textContent='';
 pick.hidden=false;
 pick.appendChild(element('span',square.title.replace(/, film$/,'')));
 if(square.href){
  var v=document.createElement('video');
  v.src=square.getAttribute('href');v.controls=true;v.autoplay=true;v.muted=true;v.playsInline=true;
  pick.appendChild(v);
 }
 var folder=li.dataset.task.replace('/','-')+'-row'+(row.length<2?'0':'')+row;
 pick.appendChild(element('pre',repeat+' --suite '+li.dataset.task+' --row '+row+' --film all --out '+folder));
}
document.addEventListener('click',function(event){
 var square=event.target.closest('.squares>*'),pre=event.target.closest('pre');
 if(square){event.preventDefault();show(square)}
 if(pre){
  var range=document.createRange();
  range.selectNodeContents(pre);
  getSelection().removeAllRanges();getSelection().addRange(range);
  if(navigator.clipboard)navigator.clipboard.writeText(pre.textContent).catch(function(){});
 }
 var sort=event.target.dataset.sort;
 if(sort){
  items.sort(function(a,b){return a.dataset[sort]-b.dataset[sort]||a.dataset.i-b.dataset.i});
  items.forEach(function(e){list.appendChild(e)});
  document.querySelectorAll('[data-sort]').forEach(function(e){e.setAttribute('aria-pressed',e.dataset.sort===sort)});
 }
});
document.querySelector('.tools input').addEventListener('input',function(event){
 var words=event.target.value.toLowerCase().split(/\s+/);
 items.forEach(function(e){
  var text=(e.dataset.task+' '+e.querySelector('p').textContent).toLowerCase();
  e.hidden=!words.every(function(w){return text.indexOf(w)>=0});
 });
});
document.querySelector('[data-sort=i]').setAttribute('aria-pressed','true');
})();
