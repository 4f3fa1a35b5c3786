// dashboard.js - the page: what it shows stands in its address, so that a link shows the same; asks for it, draws it, and asks again.
import {announce, clock, dayOf, el, exact, foreign, isDay, keepFocus, many, reason, seconds, span} from './format.js';
import {forgetCharts} from './chart.js';
import {classes, dialog, drawn, funnel, heat, line, list, mainChart, table, tile} from './panels.js';
import {leavePipeline, showPipeline} from './pipeline.js';
import {run, UNSEEN_S} from './alarms.js';

const PAGES = ['analytics', 'pipeline'], TABS = ['overview', 'workflow', 'business', 'usage', 'system'];
const RANGES = [['today', 'today'], ['7d', '7d'], ['28d', '28d'], ['91d', '91d'], ['12mo', '12mo']], OWN_DAYS = 'Days of your own';
const WHOS = [['external', 'External'], ['all', 'All'], ['internal', 'Internal']];
const DEFAULTS = {page: 'analytics', tab: 'overview', range: '28d', first: '', last: '', who: 'external', compare: 'previous', grain: 'auto', language: '', kpi: '', live: '15m'};
const AGAIN_MS = 60000, AFTER_FAILURE_MS = 4000;
const BEFORE_ALL = '0001-01-01'; // where the first day with events is not known: no figure is left out for it

let state = {}, shown = null, asked = 0, timer = 0, failure = null, isPicked = false;
const head = document.getElementById('head'), content = document.getElementById('content');

// ---- the address ----

function readAddress() {
  const said = new URLSearchParams(location.search);
  state = {...DEFAULTS};
  for (const name of Object.keys(DEFAULTS)) if (said.get(name)) state[name] = said.get(name);
  if (!TABS.includes(state.tab)) state.tab = DEFAULTS.tab;
  if (!PAGES.includes(state.page)) state.page = DEFAULTS.page;
}

// What the browser keeps for the page; where it may keep nothing, the page does without.
function kept(store, name) { try { return window[store].getItem(name) || ''; } catch { return ''; } }
function keep(store, name, value) { try { window[store].setItem(name, value); } catch { /* it is for this page's life, then */ } }

// Behind the form: what was asked for before it.
function takeUp() {
  const asked = kept('sessionStorage', 'asked');
  if (asked && !location.search) history.replaceState(null, '', asked);
  keep('sessionStorage', 'asked', '');
}

function address() {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== DEFAULTS[name]) said.set(name, value);
  const text = said.toString();
  return text ? '?' + text : '/';
}

function go(changed, stay) {
  const {tab} = state;
  Object.assign(state, changed);
  if (changed.range && changed.range !== 'custom') state.first = state.last = '';
  if (changed.tab && changed.tab !== tab) state.kpi = '';
  history[stay ? 'replaceState' : 'pushState'](null, '', address());
  draw();
}

// ---- light and dark ----

function theme() {
  const chosen = kept('localStorage', 'theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
}
const isDark = () => (document.documentElement.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
function switchTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  keep('localStorage', 'theme', document.documentElement.dataset.theme);
  draw(true);
}

// ---- the head ----

function segment(label, options, chosen, choose, className) {
  return el('div', {class: 'segment ' + (className || ''), role: 'group', 'aria-label': label}, options.map(([value, text, title]) =>
    el('button', {type: 'button', 'aria-pressed': String(value === chosen), 'aria-label': title, title, onclick: () => choose(value)}, text)));
}

function pick(label, options, chosen, choose) {
  const select = el('select', {'aria-label': label, onchange: event => choose(event.target.value)}, options.map(([value, text]) => el('option', {value, selected: value === chosen}, text)));
  return select;
}

export function status(text, kind, title) {
  const place = document.getElementById('status');
  if (place) place.replaceChildren(el('i', {class: `dot ${kind}`}), el('span', {class: 'status-text', title: title || ''}, text));
}

function customRange() {
  const range = shown ? shown.range : {first: '', last: ''};
  const first = el('input', {type: 'date', id: 'first', value: range.first, required: true}), last = el('input', {type: 'date', id: 'last', value: range.last, required: true});
  dialog(OWN_DAYS, el('form', {method: 'dialog', class: 'days', onsubmit: () => go({range: 'custom', first: first.value, last: last.value})},
    el('label', {for: 'first'}, 'From'), first, el('label', {for: 'last'}, 'to'), last, el('button', {class: 'solid'}, 'Show')),
    el('p', {class: 'soft'}, 'UTC days. They are compared with as many days that lie a whole number of weeks before, so that each weekday stands over the same one.'));
}

function showKeys() {
  const keys = [['1 … 5', 'the tabs'], ['p', 'Analytics and Pipeline'], ['t', 'light and dark'], ['Tab', 'from control to control'], ['← →', 'along a chart that has the focus'], ['Esc', 'closes what is open'], ['?', 'this list']];
  dialog('Keys', el('dl', {class: 'keys'}, keys.map(([key, what]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, what)])));
}

function drawHead() {
  const isPipeline = state.page === 'pipeline';
  const focus = document.activeElement && head.contains(document.activeElement) ? [...head.querySelectorAll('button, select, a')].indexOf(document.activeElement) : -1;
  const scroll = [...head.querySelectorAll('.controls, .tabs')].map(one => one.scrollLeft);
  // An address may be cut or mistyped: the server says what is wrong with its days.
  const days = state.range === 'custom' && isDay(state.first) && isDay(state.last) ? span(state.first, state.last) : null;
  const custom = [['custom', days || '…', days ? `${OWN_DAYS}: ${days}` : OWN_DAYS]];
  head.className = isPipeline ? 'flat' : '';
  head.replaceChildren(...[
    el('div', {class: 'brand'}, el('img', {src: '/mark.svg', alt: '', width: 22, height: 22}), el('span', {}, 'Tallymill')),
    segment('Page', [['analytics', 'Analytics'], ['pipeline', 'Pipeline']], state.page, page => go({page}), 'pages'),
    el('div', {class: 'end'}, el('span', {class: 'utc', title: 'Days begin and end at midnight UTC'}, isPipeline ? 'UTC' : 'UTC days'), el('span', {id: 'status', class: 'status', role: 'status'}),
      el('button', {type: 'button', class: 'ghost', 'aria-label': isDark() ? 'Light' : 'Dark', title: 'Light and dark', onclick: switchTheme}, isDark() ? '☀' : '☾')),
    isPipeline ? null : segment('Tab', TABS.map(tab => [tab, tab[0].toUpperCase() + tab.slice(1)]), state.tab, tab => go({tab}), 'tabs'),
    el('div', {class: 'controls'},
      isPipeline ? segment('Range', [['15m', '15 min'], ['1h', '1 h'], ['6h', '6 h'], ['24h', '24 h'], ['28d', '28 d']], state.live, live => go({live})) : [
        segment('Range', [...RANGES, ...custom], state.range, range => range === 'custom' ? customRange() : go({range}), 'ranges'),
        segment('Users', WHOS, state.who, who => go({who})),
        pick('Compared with', [['previous', 'vs. before'], ['year', 'vs. year before'], ['off', 'not compared']], state.compare, compare => go({compare})),
        pick('By', [['auto', 'grain: auto'], ['day', 'by day'], ['week', 'by week'], ['month', 'by month']], state.grain, grain => go({grain})),
      ]),
  ].filter(Boolean));
  if (focus >= 0) [...head.querySelectorAll('button, select, a')][focus]?.focus();
  [...head.querySelectorAll('.controls, .tabs')].forEach((one, at) => { one.scrollLeft = scroll[at] || 0; });
  for (const tabs of head.querySelectorAll('.tabs, .controls')) {
    const chosen = tabs.querySelector('[aria-pressed=true]');
    if (chosen && tabs.scrollWidth > tabs.clientWidth && (chosen.offsetLeft + chosen.offsetWidth > tabs.scrollLeft + tabs.clientWidth)) tabs.scrollLeft = chosen.offsetLeft - 40;
  }
}

// ---- Analytics ----

const KINDS = {funnel, list, bars: list, classes, line, heat, table};
const sizeOf = panel => panel.show === 'list' || panel.show === 'bars' || panel.show === 'classes' || panel.target !== undefined ? 'quarter'
  : panel.show === 'table' && (panel.name === 'events' || (panel.columns || []).length > 6) ? 'full' : 'half';

// Panels of one size side by side, as many in a row as leave none alone.
function group(size, cards) {
  const most = size === 'full' ? 1 : size === 'half' ? 2 : 4, count = cards.length;
  const columns = count <= most ? count : size === 'quarter' ? (count === 5 ? 5 : count % 4 === 0 ? 4 : count % 3 === 0 ? 3 : 4) : most;
  const box = el('div', {class: `row ${size}s`}, cards);
  box.style.setProperty('--columns', columns);
  return box;
}

function zoom(first, last) {
  const clamp = day => day < shown.range.first ? shown.range.first : day > shown.range.last ? shown.range.last : day;
  go({range: 'custom', first: clamp(dayOf(first + 43200)), last: clamp(dayOf(last + (shown.range.grain === 'day' ? 43200 : 0)))});
}

function analyticsBody(page) {
  const numbers = page.panels.filter(panel => panel.show === 'number'), rest = page.panels.filter(panel => panel.show !== 'number');
  const chosen = numbers.find(panel => panel.name === state.kpi) || numbers.find(panel => !panel.trouble_kind && panel.rows.length > 0) || numbers[0];
  const found = rest.find(panel => panel.show === 'funnel');
  // Of a single day the chosen figure is a bar or two: beside the funnel there is room for the day's hours.
  const hours = found && rest.find(panel => panel.name === 'today_by_hour');
  const parts = [];
  if (page.fresh.trouble) parts.push(banner('warn', 'How fresh these figures are is not known:', foreign(page.fresh.trouble), '. ', run('tallymill doctor', 'looks for what stands in the way.')));
  if (!page.fresh.first_day) parts.push(el('p', {class: 'note'}, el('b', {}, 'No events yet. '), 'Figures appear here a second after the first events are stored: ', el('code', {}, 'tallymill-produce --generate 10000'), ' makes some.'));
  if (numbers.length > 0) {
    const tiles = el('div', {class: 'tiles'}, numbers.map(panel => drawn(tile, panel, page, panel === chosen, kpi => go({kpi}, true))));
    tiles.style.setProperty('--columns', numbers.length);
    parts.push(tiles, el('div', {class: 'row ' + (found ? 'mains' : 'fulls')}, hours ? el('div', {class: 'stack'}, drawn(mainChart, chosen, page, zoom), drawn(line, hours, page)) : drawn(mainChart, chosen, page, zoom), found ? drawn(funnel, found, page) : null));
  }
  let size = null, cards = [];
  const flush = () => { if (cards.length > 0) parts.push(group(size, cards)); cards = []; };
  for (const panel of rest.filter(panel => panel !== found && panel !== hours)) {
    if (sizeOf(panel) !== size) { flush(); size = sizeOf(panel); }
    cards.push(drawn(KINDS[panel.show], panel, page));
  }
  flush();
  if (page.export) parts.push(el('p', {class: 'foot soft'}, 'Raw events of this range: ', el('a', {href: `/api/v1/events.csv?${new URLSearchParams({range: 'custom', first: page.range.first, last: page.range.last, who: page.who})}`, download: ''}, 'CSV'),
    ` (at most ${exact(page.export)} rows) · press `, el('kbd', {}, '?'), ' for keys'));
  return parts;
}

function sayFresh(page) {
  const {fresh} = page, late = fresh.behind_s;
  if (fresh.trouble) status('freshness unknown', 'warn', fresh.trouble);
  else if (fresh.leader === '' || fresh.leader === null) status('no aggregator', 'bad', 'The statistics stand still: start tallymill-aggregator');
  else if (fresh.leader_seen_s > UNSEEN_S) status(`aggregator not seen for ${seconds(fresh.leader_seen_s)}`, 'warn', `The statistics may stand still: systemctl status tallymill-aggregator (${fresh.leader})`);
  else if (fresh.dirty_days > 0) status(`${many(fresh.dirty_days, 'day')} to rebuild`, 'warn', 'tallymill status says which');
  else status(`${seconds(late)} behind`, late < 10 ? 'good' : late < 120 ? 'warn' : 'bad', 'The statistics, behind the stored rows');
}

function banner(kind, title, ...more) { return el('div', {class: `banner ${kind}`}, el('i', {class: `dot ${kind}`}), el('div', {}, el('b', {}, title), ' ', more)); }

// A value that was picked: the funnel is of that language, or again of all. Where no funnel stands, on the tab that has it.
function pickLanguage(value) {
  const hasFunnel = shown.panels.some(panel => panel.show === 'funnel');
  isPicked = true;
  go({language: value === state.language ? '' : value, ...(hasFunnel ? {} : {tab: 'workflow'})});
}

function showPicked() {
  if (isPicked) content.querySelector('.funnel-card')?.scrollIntoView({block: 'center'});
  isPicked = false;
}

function drawAnalytics() {
  forgetCharts();
  const parts = shown && shown.tab === state.tab ? analyticsBody(shown) : [];
  if (failure) {
    const isOld = parts.length > 0;
    parts.unshift(banner('bad', failure.title, ...failure.text, isOld ? ` The figures below are of ${clock(shown.at)} UTC.` : ''));
    if (!isOld) parts.push(el('div', {class: 'waiting'}, 'The figures appear here by themselves when it answers.'));
  }
  content.classList.toggle('old', !!failure);
  keepFocus(content, () => content.replaceChildren(...parts));
  announce(failure ? failure.title : '');
  if (shown && !failure) sayFresh(shown);
  else if (failure) status('no answer', 'bad');
}

function explain(code, answer) {
  if (code === 0) return {title: 'The dashboard does not answer.', text: ['It is asked again every few seconds. ', run('systemctl status tallymill-dashboard', 'tells whether it runs.')]};
  if (answer.kind === 'request') return {title: 'This address asks for something that there is not:', text: [foreign(answer.error)]};
  if (answer.kind === 'retry') return {title: 'Postgres does not answer:', text: [foreign(reason(answer.error)), '. It is asked again every few seconds. ', run('tallymill doctor', 'tells whether it runs and lets this login in.')]};
  return {title: 'The database cannot be read:', text: [foreign(answer.error)]};
}

// A page that the browser has kept, and shows again when somebody goes back to it, had stopped asking.
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

// The form leads back to the page as it is without an address, which then is what it was (takeUp). Nobody draws meanwhile.
function askForToken() {
  keep('sessionStorage', 'asked', location.search);
  location.href = '/login';
  return new Promise(() => {});
}

// An answer without JSON is none of ours, or broke off: a proxy's own page, a connection that was lost.
async function ask(path) {
  try {
    const answer = await fetch(path, {headers: {Accept: 'application/json'}});
    if (answer.status === 401) return askForToken();
    const json = await answer.json().catch(() => null);
    return json ? {code: answer.status, json} : {code: 0};
  } catch { return {code: 0}; }
}

// While a pointer is down somebody may be drawing a range in a chart: the page is drawn anew once it is up (behind what its going up does), or after five seconds.
let release = null;
const HELD_MS = 5000;
addEventListener('pointerdown', () => { release = release || (() => {}); }, true);
for (const end of ['pointerup', 'pointercancel', 'blur']) addEventListener(end, () => { const told = release; release = null; if (told) setTimeout(told); }, true);
const letGo = () => release ? new Promise(done => { release = done; setTimeout(done, HELD_MS); }) : null;

async function loadAnalytics() {
  const number = ++asked, said = new URLSearchParams();
  for (const name of ['range', 'first', 'last', 'who', 'compare', 'grain', 'language']) if (state[name]) said.set(name, state[name]);
  const {code, json} = await ask(`/api/v1/page/${state.tab}?${said}`);
  await letGo();
  if (number !== asked || state.page !== 'analytics') return;
  if (code === 200 && json.fresh.trouble) json.fresh.first_day = BEFORE_ALL;
  if (code === 200) { shown = {...json, at: Date.parse(json.fresh.at) || Date.now(), pick: pickLanguage}; failure = null; } else failure = explain(code, json);
  clearTimeout(timer); // before it is drawn: whatever cannot be drawn, it is asked again
  timer = setTimeout(() => document.hidden ? document.addEventListener('visibilitychange', loadAnalytics, {once: true}) : loadAnalytics(), failure ? AFTER_FAILURE_MS : AGAIN_MS);
  drawAnalytics();
  if (code === 200) showPicked();
}

// ---- the whole ----

function draw(isSame) {
  document.title = state.page === 'pipeline' ? 'Pipeline · Tallymill' : `${state.tab[0].toUpperCase() + state.tab.slice(1)} · Tallymill`;
  drawHead();
  clearTimeout(timer);
  if (state.page === 'pipeline') {
    asked++;
    showPipeline(content, {live: state.live, ask, banner, status});
    return;
  }
  leavePipeline();
  if (shown && (isSame || shown.tab === state.tab)) drawAnalytics();
  else if (!isSame) { forgetCharts(); content.replaceChildren(el('div', {class: 'waiting', role: 'status'}, 'Asking …')); }
  loadAnalytics();
}

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName) || document.getElementById('dialog').open) return;
  if (event.key === '?') showKeys();
  else if (event.key === 't') switchTheme();
  else if (event.key === 'p') go({page: state.page === 'pipeline' ? 'analytics' : 'pipeline'});
  else if (/^[1-5]$/.test(event.key) && state.page === 'analytics') go({tab: TABS[event.key - 1]});
});
addEventListener('popstate', () => { readAddress(); draw(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => draw(true));

theme();
takeUp();
readAddress();
draw();
