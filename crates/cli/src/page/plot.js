'use strict';
// Plots over the minutes of a history. A page opens a span, mounts panels and says what a minute's
// figures are; each panel reduces the visible minutes to one column a pixel.
const number = (n, digits = 2) => n.toLocaleString('en', { maximumFractionDigits: digits });
const el = (tag, text, cls) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (cls) e.className = cls; return e; };
const byId = id => document.getElementById(id);
let startMs = 0, count = 0, view = [0, 0], panels = [], figures = () => [];
const stamp = m => new Date(startMs + m * 60000).toISOString().slice(0, 16).replace('T', ' ');
const minuteOf = at => Math.round((Date.parse(at) - startMs) / 60000);
function openSpan(start, minutes) { startMs = start; count = minutes; view = [0, minutes]; }

let W = 1180;
const L = 46, R = 8, B = 18, T = 12;
const sum = (a, i, j) => { let s = 0; for (; i < j; i++) s += a[i]; return s; };
const max = (a, i, j) => { let s = 0; for (; i < j; i++) if (a[i] > s) s = a[i]; return s; };
const NS = 'http://www.w3.org/2000/svg';
function shape(parent, tag, attributes) { const e = document.createElementNS(NS, tag); for (const k in attributes) e.setAttribute(k, attributes[k]); parent.append(e); return e; }
const x = m => L + (m - view[0]) / (view[1] - view[0]) * (W - L - R);
function columns(least = 1) {
  const wide = view[1] - view[0], n = Math.max(1, Math.min(Math.floor(wide / least), W - L - R)), cols = [];
  for (let c = 0; c < n; c++) { const i = view[0] + Math.floor(c * wide / n), j = Math.max(i + 1, view[0] + Math.floor((c + 1) * wide / n)); cols.push([i, Math.min(j, count)]); }
  return cols;
}
function bars(svg, y, parts, least) {
  const cols = columns(least), base = cols.map(() => 0);
  for (const [series, color, per] of parts) {
    let d = '';
    cols.forEach(([i, j], c) => { const v = sum(series, i, j) / (j - i) / per; if (v > 0) { d += `M${x(i)} ${y(base[c])}V${y(base[c] + v)}H${x(j)}V${y(base[c])}Z`; base[c] += v; } });
    shape(svg, 'path', { d, fill: color, 'fill-opacity': .85 });
  }
}
function peaks(svg, y, series, color, per) {
  let d = '';
  columns().forEach(([i, j]) => { const v = max(series, i, j) / per; if (v > 0) d += `M${x(i)} ${y(0)}V${y(v)}H${Math.max(x(j), x(i) + 1.5)}V${y(0)}Z`; });
  shape(svg, 'path', { d, fill: color });
}
function line(svg, y, series, color, least, per = 1) {
  let d = '';
  columns(least).forEach(([i, j]) => { d += `${d ? 'L' : 'M'}${(x(i) + x(j)) / 2} ${y(sum(series, i, j) / (j - i) * per)}`; });
  shape(svg, 'path', { d, fill: 'none', stroke: color, 'stroke-width': 1.2 });
}
// Load as an area, capacity as a staircase, both by their highest minute.
function loadAndCapacity(svg, y, load, loadPer, capacity, capacityPer) {
  let area = '', step = '';
  const cols = columns();
  cols.forEach(([i, j], c) => { area += `${c ? 'L' : 'M'}${x(i)} ${y(max(load, i, j) / loadPer)}H${x(j)}`; step += `${c ? 'L' : 'M'}${x(i)} ${y(max(capacity, i, j) / capacityPer)}H${x(j)}`; });
  shape(svg, 'path', { d: `${area}V${y(0)}H${x(cols[0][0])}Z`, fill: 'var(--load-fill)' });
  shape(svg, 'path', { d: area, fill: 'none', stroke: 'var(--load)', 'stroke-width': 1 });
  shape(svg, 'path', { d: step, fill: 'none', stroke: 'var(--capacity)', 'stroke-width': 1.5 });
}
// A triangle at a change of the shards, which explains itself when it is pointed at.
function mark(svg, y, m, from, to, color, explain) {
  if (m < view[0] || m >= view[1]) return;
  const up = to > from, cx = x(m), cy = y(Math.max(to, from)) - 9;
  const d = up ? `M${cx - 5} ${cy + 4}h10l-5 -9z` : `M${cx - 5} ${cy - 4}h10l-5 9z`;
  shape(svg, 'path', { d, fill: color || (up ? 'var(--good)' : 'var(--warn)') }).explain = explain;
}
function ticks(top, most = 4) { const rough = top / most, unit = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find(f => f * unit >= rough) * unit, list = []; for (let v = 0; v <= top * 1.0001; v += step) list.push(v); return list; }
function timeTicks() {
  const wide = view[1] - view[0], step = [10, 30, 60, 180, 360, 720, 1440, 2880, 7200, 14400].find(s => wide / s <= Math.max(3, W / 95)) || 28800, list = [];
  const first = Math.ceil((view[0] + startMs / 60000) / step) * step - startMs / 60000;
  for (let m = first; m < view[1]; m += step) list.push([m, step >= 1440 ? stamp(m).slice(5, 10) : stamp(m).slice(11)]);
  return list;
}
function render() {
  // As wide as the page leaves room for, so that letters keep their size.
  W = Math.max(280, Math.round(panels[0]?.svg.clientWidth || W));
  for (const panel of panels) {
    const svg = panel.svg, H = panel.height;
    svg.replaceChildren();
    svg.setAttribute('viewBox', `0 0 ${W} ${H}`);
    const top = Math.max(1e-9, panel.top(view[0], view[1])) * 1.08, y = v => T + (H - T - B) * (1 - v / top);
    for (const t of ticks(top, H < 100 ? 2 : 4)) { shape(svg, 'line', { x1: L, x2: W - R, y1: y(t), y2: y(t), class: 'grid' }); shape(svg, 'text', { x: L - 6, y: y(t) + 4, 'text-anchor': 'end' }).textContent = number(t); }
    for (const [m, label] of timeTicks()) shape(svg, 'text', { x: x(m), y: H - 3, 'text-anchor': 'middle' }).textContent = label;
    panel.draw(svg, y);
    panel.cursor = shape(svg, 'line', { y1: T, y2: H - B, x1: -9999, x2: -9999, stroke: 'var(--soft)', 'stroke-dasharray': '3 3', 'pointer-events': 'none' });
    panel.brush = shape(svg, 'rect', { y: T, height: H - B - T, x: -9999, width: 0, fill: 'var(--load-fill)', 'pointer-events': 'none' });
  }
}
const tip = el('div', undefined, 'tip');
document.body.append(tip);
function place(event) { tip.style.display = 'block'; const w = tip.offsetWidth, h = tip.offsetHeight; tip.style.left = Math.max(8, Math.min(event.clientX + 16, innerWidth - w - 12)) + 'px'; tip.style.top = Math.max(8, Math.min(event.clientY + 16, innerHeight - h - 12)) + 'px'; }
function rows(list) { const t = el('table'); for (const r of list) { const tr = el('tr'); r.forEach(v => tr.append(el('td', v))); t.append(tr); } return t; }
let drag = null;
let settle = 0;
addEventListener('resize', () => { clearTimeout(settle); settle = setTimeout(render, 120); });
function mount(into, list) {
  panels = list;
  into.replaceChildren();
  for (const panel of panels) {
    const box = el('div', undefined, 'panel'), key = el('span', undefined, 'key');
    for (const [name, color] of panel.key) { const i = el('i'), entry = el('span'); i.style.background = color; entry.append(i, name); key.append(entry); }
    box.append(key, el('h2', panel.title));
    panel.svg = document.createElementNS(NS, 'svg');
    box.append(panel.svg);
    into.append(box);
    const minute = event => { const r = panel.svg.getBoundingClientRect(), px = (event.clientX - r.left) / r.width * W; return Math.min(count - 1, Math.max(0, Math.round(view[0] + (px - L) / (W - L - R) * (view[1] - view[0])))); };
    panel.svg.addEventListener('pointermove', event => {
      const m = minute(event);
      for (const p of panels) { p.cursor.setAttribute('x1', x(m)); p.cursor.setAttribute('x2', x(m));
        if (drag !== null) { p.brush.setAttribute('x', Math.min(x(drag), x(m))); p.brush.setAttribute('width', Math.abs(x(m) - x(drag))); } }
      const said = event.target.explain ? event.target.explain() : [el('b', stamp(m)), rows(figures(m))];
      tip.replaceChildren(...said);
      place(event);
    });
    panel.svg.addEventListener('pointerleave', () => { tip.style.display = 'none'; });
    panel.svg.addEventListener('pointerdown', event => { drag = minute(event); });
    panel.svg.addEventListener('pointerup', event => {
      if (drag === null) return;
      const [a, b] = [drag, minute(event)].sort((p, q) => p - q);
      drag = null;
      if (b - a >= 10) view = [a, b];
      render();
    });
    panel.svg.addEventListener('dblclick', () => { view = [0, count]; render(); });
  }
  render();
}
