// panels.js - a panel of the page from its answer: what kind it is, what it says, and the buttons that each has (CSV, SQL, table).
import {buckets, dayFull, dayLater, dayName, el, exact, figure, foreign, many, nextBucket, NBSP, percent, rememberFocus, secondsOf, span, unitOf} from './format.js';
import {bucketName, figureOf, legend, lines, sideOf, sparkline} from './chart.js';

const LIST_ROWS = 6, TABLE_ROWS = 10;
const CLASSES = ['excellent', 'good', 'acceptable', 'slow'];
const CLASS_COLORS = ['--excellent', '--good', '--acceptable', '--slow'];

// ---- what all panels have ----

export function dialog(title, ...content) {
  const box = document.getElementById('dialog'), giveBack = rememberFocus(document.getElementById('content'));
  box.replaceChildren(el('div', {class: 'dialog-head'}, el('h2', {id: 'dialog-title'}, title), el('button', {class: 'ghost', type: 'button', onclick: () => box.close(), 'aria-label': 'Close'}, '✕')),
    ...content.flat(3).filter(Boolean));
  box.addEventListener('close', giveBack, {once: true}); // the browser knows the button that was pressed, which may be gone
  box.showModal();
}

export function copyButton(text) {
  const button = el('button', {class: 'solid', type: 'button', onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  }}, 'Copy');
  return navigator.clipboard ? button : null;
}

const showSql = panel => dialog(`${panel.title}: its query`, el('p', {class: 'soft'}, 'As it was asked, over one snapshot for the whole page. It runs in psql as it stands.'),
  el('pre', {tabindex: 0}, panel.sql), copyButton(panel.sql));

function showTable(panel, page) {
  const table = plainTable(panel.columns, panel.rows, panel);
  dialog(`${panel.title}: ${span(page.range.first, page.range.last)}`, el('div', {class: 'scroll', tabindex: 0}, table));
}

export function plainTable(columns, rows, panel) {
  return el('table', {class: 'table'},
    el('thead', {}, el('tr', {}, columns.map(column => el('th', {class: isNumeric(rows, columns.indexOf(column)) ? 'right' : null, scope: 'col'}, column)))),
    el('tbody', {}, rows.map(row => el('tr', {}, row.map((cell, at) => typeof cell === 'number'
      ? el('td', {class: 'right'}, exact(cell, cellUnit(panel, columns[at]))) : el('td', {}, cell === null ? el('span', {class: 'soft'}, at === 0 ? 'whole range' : '') : foreign(cell)))))));
}

const cellUnit = (panel, column) => panel.show === 'table' || panel.show === 'heat' || /events|excellent|good|acceptable|slow/.test(column) ? unitOf(column) : panel.unit;
const isNumeric = (rows, at) => rows.some(row => typeof row[at] === 'number');

function tools(panel, page) {
  if (!panel.sql) return null;
  const query = new URLSearchParams({range: 'custom', first: page.range.first, last: page.range.last, who: page.who, grain: page.range.grain, tab: page.tab});
  if (page.language) query.set('language', page.language);
  return el('div', {class: 'tools'},
    el('button', {type: 'button', class: 'tool', onclick: () => showTable(panel, page), 'aria-label': `${panel.title}: as a table`}, 'Table'),
    el('a', {class: 'tool', href: `/api/v1/panel/${panel.name}.csv?${query}`, download: '', 'aria-label': `${panel.title}: rows as CSV`}, 'CSV'),
    el('button', {type: 'button', class: 'tool', onclick: () => showSql(panel), 'aria-label': `${panel.title}: its query`}, 'SQL'));
}

function staleTag(panel) {
  if (!panel.stale) return null;
  const when = panel.stale.at ? `as of ${panel.stale.at.slice(11, 16)}` : 'not computed yet';
  return el('span', {class: 'tag late', title: panel.stale.error ? 'Its query fails: ' + panel.stale.error : 'Events have changed since; the aggregator computes it anew'}, when);
}

// Who was there before the keys of uniques begin counts again.
const mostTag = panel => panel.at_most ? el('span', {class: 'tag late', title: 'The range begins before the days whose keys are kept (uniques.keep): who was there before them and again behind counts twice'}, 'at most') : null;
const subOf = panel => panel.at_most ? panel.sub.replace('exact', 'at most') : panel.sub;

function head(panel, page, title, sub) {
  const untold = panel.before_trouble ? el('span', {class: 'tag late', title: panel.before_trouble}, 'not compared') : null;
  return el('div', {class: 'card-head'}, el('div', {class: 'names'}, el('h2', {}, title || panel.title), el('span', {class: 'sub'}, sub === undefined ? subOf(panel) : sub), staleTag(panel), mostTag(panel), untold), tools(panel, page));
}

const TROUBLES = {
  missing: ['Not counted yet', 'Its table is not there. It comes with "tallymill migrate" of a release that has it, and fills when the aggregator has run.'],
  right: ['Not readable', 'The login of the dashboard lacks a right: GRANT tallymill_read to it.'],
  slow: ['Took too long', 'Its query was ended after 5 s.'],
  unasked: ['Not asked', 'The database is slow: the time of the page was over before it came to this panel. It is asked again by itself.'],
  drawing: ['Cannot be drawn', 'Its rows are not what the line "show" of its file needs. Table and SQL have them as they are.'],
  failed: ['Its query failed', 'The file of this panel, or the database, has an error.'],
  who: ['Not counted for all together', 'Choose External or Internal: the two cannot be added up here without counting somebody twice.'],
};

function trouble(panel) {
  const [title, advice] = TROUBLES[panel.trouble_kind];
  return el('div', {class: 'trouble'}, el('b', {}, title), el('p', {}, advice), panel.trouble ? el('p', {class: 'detail'}, foreign(panel.trouble)) : null);
}

// What cannot be drawn leaves the others drawn, and says so in its own place.
export function drawn(make, panel, ...more) {
  try {
    return make(panel, ...more);
  } catch (error) {
    return make({...panel, trouble_kind: 'drawing', trouble: String(error)}, ...more);
  }
}

const nothing = text => el('p', {class: 'nothing'}, text || 'Nothing in this range.');

export function card(panel, page, kind, ...content) {
  const size = panel.trouble_kind ? 'card' : `card ${kind}`;
  return el('section', {class: size, 'aria-label': panel.title, 'data-panel': panel.name}, head(panel, page), panel.trouble_kind ? trouble(panel) : content);
}

// ---- change ----

// The range is not over: what it holds so far stands beside whole days before, and is neither more nor less than they.
const isRunning = page => page.range.last >= page.range.today;

const flat = (text, against, title) => el('div', {class: 'change flat', title}, text, against ? el('span', {class: 'against'}, against) : null);

// How `value` stands to the figure before: as text, and whether that is good. Rates in points.
export function change(value, before, panel, page) {
  if (!page.range.before) return isRunning(page) ? flat('so far') : null;
  if (panel.before_trouble) return flat('not compared', null, panel.before_trouble);
  const range = span(page.range.before.first, page.range.before.last);
  const known = page.fresh.first_day && page.fresh.first_day <= page.range.before.first, none = before === null || before === undefined || !panel.before;
  const then = `${panel.before_at_most ? 'at most ' : ''}${figure(before, panel.unit)}`;
  if (isRunning(page)) return known && !none ? flat('so far', ` · ${range}: ${then}`, `before: ${exact(before, panel.unit)}`) : flat('so far');
  if (none || !known || value === null)
    return flat(known || !page.fresh.first_day ? 'no earlier figure' : `events begin ${span(page.fresh.first_day, page.fresh.first_day)}`);
  if (panel.at_most || panel.before_at_most || (panel.unit !== 'share' && before === 0)) return flat(`before: ${then}`, ` · ${range}`, `before: ${exact(before, panel.unit)}`);
  if (panel.unit !== 'share' && Math.abs(value / before) >= 11)
    return el('div', {class: 'change ' + (panel.good === 'none' ? 'flat' : panel.good === 'up' ? 'better' : 'worse'), title: `before: ${exact(before, panel.unit)}`}, '▲ ', `×${NBSP}${Math.round(value / before)}`, el('span', {class: 'against'}, ` vs. ${range}`));
  const points = panel.unit === 'share', by = points ? 100 * (value - before) : 100 * (value - before) / before;
  const shown = Math.abs(by).toFixed(1), moved = shown !== '0.0';
  const good = panel.good === 'none' || !moved ? 'flat' : (by > 0) === (panel.good === 'up') ? 'better' : 'worse';
  const sign = !moved ? '' : by > 0 ? '+' : '−';
  return el('div', {class: `change ${good}`, title: `before: ${exact(before, panel.unit)}`}, el('span', {'aria-hidden': 'true'}, !moved ? '● ' : by > 0 ? '▲ ' : '▼ '), `${sign}${shown}${NBSP}${points ? 'pp' : '%'}`,
    el('span', {class: 'against'}, ` vs. ${range}`));
}

const total = rows => { const found = (rows || []).find(row => row[0] === null); return found ? found[1] : null; };

// The values of all buckets of a range: a day without events has none of what is counted, and no rate; one that is still to come is unknown.
export function series(rows, {first, last, grain, today}, unit, firstDay) {
  const known = new Map((rows || []).filter(row => row[0] !== null).map(row => [row[0], row[1]]));
  return buckets(first, last, grain).map(day => !firstDay || nextBucket(day, grain) <= firstDay || day > today ? null : known.get(day) ?? (unit === 'share' ? null : 0));
}

// Those of the range before, by the buckets of this one: so much of a month stands over as much of another. A query that does not read :'shift' names its own
// buckets: days and weeks are moved, months cannot be.
function seriesBefore(panel, {range, fresh}) {
  if (!range.before || !panel.before || (!panel.shifts && range.grain === 'month')) return null;
  const days = (secondsOf(range.first) - secondsOf(range.before.first)) / 86400;
  const rows = panel.shifts ? panel.before : panel.before.map(([day, value]) => [day && dayLater(day, days), value]);
  return series(rows, {...range, today: dayLater(range.today, days)}, panel.unit, fresh.first_day && dayLater(fresh.first_day, days));
}

// Which buckets of a range hold less than a whole day, week or month, because it cuts them or they are not over: they must not look like a fall.
function cuts({first, last, today}, grain) {
  return buckets(first, last, grain).map(day => nextBucket(day, grain) > today || (grain !== 'day' && (day < first || nextBucket(day, grain) > nextBucket(last, 'day'))));
}

// In words, for those that a chart shows dotted; '' where there is none.
function cutNote({first, last, today}, grain) {
  const isCut = cuts({first, last, today: nextBucket(nextBucket(last, 'month'), 'month')}, grain).some(Boolean), notes = [];
  if (isCut) notes.push(`a ${grain} that the range cuts`);
  if (last >= today && first <= today) notes.push(grain === 'day' ? 'today, so far' : `this ${grain}, so far`);
  return notes.length > 0 ? `dotted: ${notes.join('; ')}` : '';
}

// A line that is dotted where its buckets are cut.
function dotted(one, cut) {
  if (!cut.some(Boolean)) return [one];
  return [{...one, values: one.values.map((value, at) => cut[at] ? null : value)},
    {...one, fill: null, dots: true, quiet: true, values: one.values.map((value, at) => cut[at] || cut[at - 1] || cut[at + 1] ? value : null)}];
}

// ---- one kind each ----

export function tile(panel, page, isChosen, choose) {
  if (!panel.trouble_kind && panel.rows.length === 0)
    return el('section', {class: 'card tile', 'data-panel': panel.name, title: 'Its subject is not among those of uniques.subjects'}, el('h2', {class: 'tile-name'}, panel.title), el('div', {class: 'tile-value pale'}, '–'), el('div', {class: 'change flat'}, 'not counted here'));
  if (panel.trouble_kind)
    return el('section', {class: 'card tile', 'data-panel': panel.name}, el('h2', {class: 'tile-name'}, panel.title), el('div', {class: 'tile-value pale'}, '–'),
      el('div', {class: 'change flat', title: panel.trouble || ''}, TROUBLES[panel.trouble_kind][0].toLowerCase()));
  const none = panel.unit !== 'share' ? 0 : null; // nothing of what is counted, among events that there are
  const value = page.fresh.first_day ? total(panel.rows) ?? none : null, before = total(panel.before) ?? none;
  const cut = cuts(page.range, page.range.grain), whole = values => values && values.filter((_, at) => !cut[at]);
  const now = whole(series(panel.rows, page.range, panel.unit, page.fresh.first_day)), then = whole(seriesBefore(panel, page));
  return el('button', {class: 'card tile' + (isChosen ? ' chosen' : ''), type: 'button', 'data-panel': panel.name, 'aria-pressed': String(isChosen), onclick: () => choose(panel.name),
      title: `${panel.at_most ? 'at most ' : ''}${exact(value, panel.unit)} ${subOf(panel)}`},
    el('span', {class: 'tile-name'}, panel.title, staleTag(panel), mostTag(panel)), el('span', {class: 'tile-value'}, figure(value, panel.unit)), change(value, before, panel, page), sparkline(now, then));
}

// Figures beside each other, [name, value]: what a chart with a single point cannot show.
function beside(figures, unit) {
  const most = Math.max(...figures.map(([, value]) => value || 0)) || 1;
  return el('ol', {class: 'list beside'}, figures.map(([name, value]) => {
    const row = el('li', {}, el('span', {class: 'list-bar'}, el('i', {}), el('span', {class: 'foreign'}, name)), el('b', {title: exact(value, unit)}, figure(value, unit)));
    row.querySelector('i').style.width = 100 * (value || 0) / most + '%';
    return row;
  }));
}

const perGrain = {day: 'by day', week: 'by week', month: 'by month'};

// The chosen figure over time. A week or month that the range cuts is dotted: it must not look like a fall.
export function mainChart(panel, page, zoom) {
  if (!panel || panel.trouble_kind)
    return el('section', {class: 'card main', 'data-panel': 'main'}, panel ? [head(panel, page), trouble(panel)] : nothing('No figure on this tab.'));
  const {range} = page, grain = range.grain, days = buckets(range.first, range.last, grain);
  const now = series(panel.rows, range, panel.unit, page.fresh.first_day), then = seriesBefore(panel, page);
  const list = dotted({label: panel.title, color: '--accent', fill: '--fill', format: figureOf(panel.unit), values: now}, cuts(range, grain));
  // What it is compared with is cut as it is, but over.
  if (then && then.some(value => value !== null))
    list.push(...dotted({label: 'before', color: '--soft', dash: true, width: 1.5, format: figureOf(panel.unit), values: then}, cuts({...range, today: dayLater(range.last, 62)}, grain)));
  const note = cutNote(range, grain);
  const against = list.some(one => one.dash) ? ` · compared with ${span(range.before.first, range.before.last)}` : '';
  const known = now.filter(value => value !== null);
  const content = known.length === 0 ? nothing() : days.length === 1 ? beside([[span(range.first, range.last) + (isRunning(page) ? ', so far' : ''), now[0]], ...(against ? [[span(range.before.first, range.before.last), total(panel.before) ?? 0]] : [])], panel.unit) : [lines({
    days: true, x: days.map(secondsOf), series: list, format: figureOf(panel.unit), axis: sideOf(panel.unit), isWhole: panel.unit === 'count', name: bucketName(grain), height: 330, floor: 0, zoom,
    says: `${panel.title} ${perGrain[grain]}, ${span(range.first, range.last)}: from ${figure(known[0], panel.unit)} to ${figure(known[known.length - 1], panel.unit)}, at most ${figure(Math.max(...known), panel.unit)}.`,
  }), el('div', {class: 'foot-row'}, legend(list), note ? el('span', {class: 'soft small'}, note) : null)];
  return el('section', {class: 'card main', 'aria-label': panel.title, 'data-panel': 'main'}, head(panel, page, panel.title, perGrain[grain] + against), content);
}

// A value that chooses of what the funnel is, as a button; pressed: it is.
const picked = (value, page, className, ...content) => el('button', {type: 'button', class: `pick ${className}`, 'aria-pressed': String(value === page.language), onclick: () => page.pick(value)}, content);

// Of which language it is, with the way back.
function chip(page) {
  if (!page.language) return null;
  return el('p', {class: 'chips'}, el('button', {type: 'button', class: 'chip', onclick: () => page.pick(page.language)}, el('span', {}, 'only '), foreign(page.language), el('span', {'aria-hidden': 'true'}, ' ✕'), el('span', {class: 'unseen'}, ': show all languages')));
}

export function funnel(panel, page) {
  if (panel.trouble_kind) return card(panel, page, 'side funnel-card');
  const top = panel.rows[0] ? panel.rows[0][2] : 0, topBefore = panel.before && panel.before[0] ? panel.before[0][2] : 0;
  if (!panel.rows.some(row => row[2] > 0)) return card(panel, page, 'side funnel-card', chip(page), nothing(panel.rows.length === 0 ? 'Its stages are not among the subjects that are counted here.' : undefined));
  const losses = panel.rows.map((row, at) => at > 0 ? panel.rows[at - 1][2] - row[2] : 0), most = Math.max(...losses);
  const stages = panel.rows.map(([, stage, sessions], at) => {
    const share = top > 0 ? sessions / top : 0, last = at > 0 ? panel.rows[at - 1][2] : 0;
    const bar = el('div', {class: 'funnel-bar'}, el('i', {}));
    bar.firstChild.style.width = Math.min(100, 100 * share) + '%';
    bar.firstChild.style.opacity = String(1 - 0.12 * at);
    bar.firstChild.hidden = sessions === 0;
    if (topBefore > 0 && at > 0) {
      const mark = el('u', {title: `${exact(panel.before[at][2])} before`});
      mark.style.left = Math.min(100, 100 * panel.before[at][2] / topBefore) + '%';
      bar.append(mark);
    }
    const tenths = value => figure(value, 'share');
    return el('li', {}, el('div', {class: 'funnel-name'}, el('span', {}, stage.replace(/_/g, ' ')), el('b', {title: exact(sessions)}, exact(sessions))), bar,
      el('div', {class: 'soft'}, at === 0 ? 'all sessions' : `${last > 0 ? tenths(sessions / last) : '–'} of the stage before · ${top > 0 ? tenths(share) : '–'} of all`),
      most > 0 && losses[at] === most ? el('div', {class: 'loss'}, `most are lost here: ${many(most, 'session')}`) : null);
  });
  return card(panel, page, 'side funnel-card', chip(page), el('ol', {class: 'funnel'}, stages),
    topBefore > 0 ? el('p', {class: 'soft foot'}, `The mark is where the stage stood ${span(page.range.before.first, page.range.before.last)}.`) : null);
}

export function list(panel, page) {
  if (panel.trouble_kind) return card(panel, page, 'quarter');
  const sum = panel.rows.reduce((all, row) => all + row[1], 0), most = Math.max(1, ...panel.rows.map(row => row[1]));
  const rows = panel.rows.slice(0, LIST_ROWS).map(([value, events]) => {
    const bar = [el('i', {}), foreign(value)];
    const row = el('li', {}, panel.picks ? picked(value, page, 'list-bar', ...bar) : el('span', {class: 'list-bar'}, bar), el('b', {title: exact(events)}, figure(events, panel.unit)), el('span', {class: 'soft'}, percent(events / sum)));
    row.querySelector('i').style.width = 100 * events / most + '%';
    return row;
  });
  const more = panel.rows.length - LIST_ROWS;
  return card(panel, page, 'quarter', rows.length === 0 ? nothing() : el('ol', {class: 'list'}, rows),
    more > 0 ? el('button', {class: 'more', type: 'button', onclick: () => showTable(panel, page)}, `and ${more} more`) : null);
}

// ---- classes: how fast, in the plan's classes ----

function classOf(value, zones, isDown) {
  if (value === null || value === undefined) return -1;
  const at = zones.findIndex((zone, index) => isDown ? (index === 2 ? value <= zone : value < zone) : (index === 0 ? value > zone : value >= zone));
  return at < 0 ? 3 : at;
}

const sources = {doc_generation: 'generations', performance: 'performance events'};

export function classes(panel, page) {
  if (panel.trouble_kind) return card(panel, page, 'quarter');
  const column = name => panel.columns.indexOf(name), names = [...new Set(panel.rows.map(row => row[0]))];
  const whole = name => panel.rows.find(row => row[0] === name && row[1] === null);
  names.sort((one, other) => whole(other)[column('events')] - whole(one)[column('events')]);
  const body = el('div', {class: 'classes'});
  const show = name => body.replaceChildren(...classBody(panel, page, name, names, show, column).filter(Boolean));
  if (names.length > 0) show(names[0]); else body.append(nothing());
  return card(panel, page, 'quarter', body);
}

function classBody(panel, page, name, names, show, column) {
  const isDown = panel.good === 'down', zones = panel.zones.split(' ').map(Number), mine = panel.rows.filter(row => row[0] === name);
  const range = mine.find(row => row[1] === null), days = mine.filter(row => row[1] !== null), percentiles = panel.columns.filter(one => /^p\d+$/.test(one));
  const counts = CLASSES.map(one => range[column(one)] || 0), all = counts.reduce((sum, one) => sum + one, 0);
  // Percentiles of several days do not follow from those of each: without them, the newest day's stand for themselves.
  const told = range[column('p50')] !== null ? range : days[days.length - 1], ofDay = told === range ? '' : `, ${dayName(told[1])}`;
  const median = told[column('p50')], at = classOf(median, zones, isDown);
  const big = median !== null ? el('div', {class: 'bigs'}, percentiles.map((one, index) => el('div', {}, el('b', {title: exact(told[column(one)], panel.unit)}, figure(told[column(one)], panel.unit)),
    index === 0 ? el('span', {class: `pill c${at}`}, CLASSES[at]) : null, el('span', {class: 'soft'}, index === 0 ? `median${ofDay}${told[column('exact')] ? '' : ' ±1' + NBSP + '%'}` : isDown ? one : `${one.replace('p0', 'p')}, ${one.startsWith('p0') ? 'slow' : 'fast'} end`)))) : null;
  const bar = el('div', {class: 'class-bar', role: 'img', 'aria-label': CLASSES.map((one, index) => `${one} ${Math.round(100 * counts[index] / (all || 1))} %`).join(', ')}, counts.map((count, index) => el('i', {class: `c${index}`, title: exact(count)})));
  [...bar.children].forEach((part, index) => { part.style.flexGrow = String(all > 0 ? counts[index] / all : 0); if (counts[index] === 0) part.hidden = true; });
  const shares = el('ul', {class: 'class-names'}, CLASSES.map((one, index) => el('li', {}, el('i', {class: `c${index}`}), `${one} ${percent(all > 0 ? counts[index] / all : 0)}`)));
  const lists = percentiles.map((one, index) => ({label: one.replace('p0', 'p'), color: ['--text', '--accent', '--slow-line'][index], width: [2, 1.6, 1.2][index], values: buckets(page.range.first, page.range.last, 'day').map(day => {
    const row = days.find(found => found[1] === day);
    return row ? row[column(one)] : null;
  })}));
  const bounds = isDown ? [[null, zones[0]], [zones[0], zones[1]], [zones[1], zones[2]], [zones[2], null]] : [[zones[0], null], [zones[1], zones[0]], [zones[2], zones[1]], [null, zones[2]]];
  const known = lists[0].values.filter(value => value !== null);
  return [big, bar, shares, lines({
    x: buckets(page.range.first, page.range.last, 'day').map(secondsOf), series: lists.flatMap(one => dotted(one, cuts(page.range, 'day'))), format: figureOf(panel.unit), name: bucketName('day'), height: 128, floor: 0,
    zones: bounds.map(([from, to], index) => ({from, to, color: ['--zone-excellent', '--zone-good', '--zone-acceptable', '--zone-slow'][index]})),
    says: `${panel.title} by day: median from ${figure(Math.min(...known), panel.unit)} to ${figure(Math.max(...known), panel.unit)}.`,
    days: true,
  }), el('div', {class: 'foot-row'}, legend(lists), names.length > 1 ? el('div', {class: 'switch', role: 'group', 'aria-label': `${panel.title}: of which events`}, names.map(one =>
    el('button', {type: 'button', 'aria-pressed': String(one === name), onclick: () => show(one)}, sources[one] || one))) : null)];
}

// ---- lines with a headline, and with a target ----

export function line(panel, page) {
  const hasTarget = panel.target !== undefined, size = hasTarget ? 'quarter' : 'half';
  if (panel.trouble_kind) return card(panel, page, size);
  const isHours = panel.rows.length > 0 && typeof panel.rows[0][0] === 'number';
  const range = panel.rows.find(row => row[0] === null), rows = panel.rows.filter(row => row[0] !== null);
  if (rows.length === 0 || !page.fresh.first_day) return card(panel, page, size, nothing());
  const names = panel.columns.slice(1), colors = ['--accent', '--teal', '--orange', '--pink'];
  // Figures of the ends of weeks or months stand at those days.
  const days = buckets(page.range.first, page.range.last, page.range.grain), own = rows.map(row => row[0]);
  const x = isHours || !own.every(day => days.includes(day)) ? own : days;
  const list = (hasTarget ? names.slice(0, 1) : names).map((label, at) => ({label, color: colors[at], values: x.map(day => { const row = rows.find(found => found[0] === day); return row && (isHours || day <= page.range.today) ? row[at + 1] : null; })}));
  // Of hours only those of the first line, which is today's, go on.
  const hour = Number((page.fresh.at || '').slice(11, 13)), cut = isHours ? x.map(one => one === hour) : x === days ? cuts(page.range, page.range.grain) : x.map(day => day >= page.range.today);
  const parts = list.flatMap((one, at) => isHours && at > 0 ? [one] : dotted(one, cut));
  const known = list[0].values.filter(value => value !== null), format = value => figure(value, panel.unit);
  const says = `${panel.title}: ${list.map(one => `${one.label} ${format(one.values.filter(value => value !== null).pop() ?? null)}`).join(', ')} at the end.`;
  const big = range && hasTarget ? el('div', {class: 'bigs'}, names.map((one, at) => el('div', {}, el('b', {title: exact(range[at + 1], panel.unit)}, format(range[at + 1])),
    at === 0 && range[1] !== null ? el('span', {class: `pill c${range[1] >= panel.target ? 0 : 2}`}, range[1] >= panel.target ? 'on target' : 'below target') : null, el('span', {class: 'soft'}, one)))) : null;
  const bar = hasTarget && range && range[1] !== null ? el('div', {class: 'class-bar'}, el('i', {class: 'accent'}), el('i', {class: 'empty'})) : null;
  if (bar) { bar.children[0].style.flexGrow = String(range[1]); bar.children[1].style.flexGrow = String(1 - range[1]); }
  if (x.length === 1 && !hasTarget && !isHours) return card(panel, page, size, beside(list.map(one => [one.label, one.values[0]]), panel.unit));
  return card(panel, page, size, big, bar, known.length === 0 ? nothing() : lines({
    x: isHours ? x : x.map(secondsOf), days: !isHours, plainX: isHours, xValues: isHours ? (plot, values) => values.map(value => `${value}:00`) : undefined, series: parts, format, axis: sideOf(panel.unit), isWhole: panel.unit === 'count', says, floor: 0, most: hasTarget ? 1 : undefined,
    name: isHours ? at => `${at}:00 to ${at}:59` : bucketName(page.range.grain), height: hasTarget ? 150 : 216,
    zones: hasTarget ? [{from: panel.target, to: 1, color: '--zone-excellent'}] : undefined,
  }), legend(list));
}

// ---- heat and table ----

export function heat(panel, page) {
  if (panel.trouble_kind) return card(panel, page, 'half');
  const weeks = [...new Set(panel.rows.map(row => row[0]))].sort(), most = Math.max(0, ...panel.rows.map(row => row[1]));
  const at = (week, later) => { const row = panel.rows.find(found => found[0] === week && found[1] === later); return row ? row[2] : null; };
  const rows = weeks.map(week => {
    const size = at(week, 0);
    return el('tr', {}, el('th', {scope: 'row'}, dayName(week)), el('td', {class: 'right'}, size === null ? '–' : exact(size)), Array.from({length: most + 1}, (_, later) => {
      const users = at(week, later);
      if (users === null || !size) return el('td', {class: 'heat empty'});
      // Never so deep that its text is hard to read, in light and in dark: up to there the page's own colour of text has a contrast of 4.5.
      const isOpen = dayLater(week, 7 * later + 7) > page.range.today;
      const heated = 8 + 58 * users / size, cell = el('td', {class: isOpen ? 'heat open' : 'heat', title: `${exact(users)} of ${exact(size)} users, week ${later} after ${dayFull(week)}${isOpen ? ', so far: it is not over' : ''}`}, Math.round(100 * users / size) + NBSP + '%');
      cell.style.setProperty('--heat', heated.toFixed(0) + '%');
      return cell;
    }));
  });
  return card(panel, page, 'half', rows.length === 0 ? nothing() : el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': panel.title}, el('table', {class: 'table heat-table'},
    el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'first week'), el('th', {class: 'right', scope: 'col'}, 'users'), Array.from({length: most + 1}, (_, later) => el('th', {class: 'right', scope: 'col'}, 'w' + later)))), el('tbody', {}, rows))),
    rows.some(row => row.querySelector('.open')) ? el('p', {class: 'soft foot'}, 'Dotted: this week, so far.') : null);
}

export function table(panel, page) {
  const size = panel.name === 'events' || (panel.columns || []).length > 6 ? 'full' : 'half';
  if (panel.trouble_kind) return card(panel, page, size);
  // A figure that is NULL in every row of the range is told from a text by the range before: it is no part of a row's name.
  const both = [...panel.rows, ...(panel.before || [])], texts = panel.columns.map((_, at) => !isNumeric(both, at)), first = texts.indexOf(false);
  const name = row => JSON.stringify(row.filter((_, at) => texts[at]));
  const before = new Map((panel.before || []).map(row => [name(row), row[first]]));
  const known = panel.before && page.fresh.first_day && page.fresh.first_day <= page.range.before.first;
  const most = Math.max(1, ...panel.rows.map(row => row[first] || 0)), isOpen = isRunning(page);
  const compared = {...panel, unit: 'count', ...(/sessions|users/.test(panel.columns[first]) ? {} : {at_most: false, before_at_most: false})}; // events are no uniques
  const against = row => {
    const then = before.get(name(row));
    if (!known || then === undefined || then === null) return el('span', {class: 'soft', title: 'no earlier figure'}, '–');
    return isOpen ? el('span', {class: 'soft', title: exact(then, unitOf(panel.columns[first]))}, figure(then, unitOf(panel.columns[first]))) : change(row[first], then, compared, page);
  };
  const rows = panel.rows.slice(0, TABLE_ROWS + 8).map(row => el('tr', {}, row.map((cell, at) => {
    if (texts[at]) return el('td', {class: 'text'}, cell === null ? '–' : panel.picks && panel.picks === panel.columns[at] ? picked(cell, page, 'plain', foreign(cell)) : foreign(cell));
    const unit = unitOf(panel.columns[at]), shown = el('td', {class: 'right', title: exact(cell, unit)}, figure(cell, unit));
    return shown;
  }), panel.before ? el('td', {class: 'right'}, against(row)) : null, el('td', {class: 'share-cell'}, shareBar((row[first] || 0) / most))));
  const more = panel.rows.length - rows.length;
  return card(panel, page, size, rows.length === 0 ? nothing() : el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': panel.title}, el('table', {class: 'table'},
    el('thead', {}, el('tr', {}, panel.columns.map((column, at) => el('th', {class: texts[at] ? null : 'right', scope: 'col'}, column.replace(/ ms$/, ''))), panel.before ? el('th', {class: 'right', scope: 'col'}, isOpen ? `${panel.columns[first].replace(/ ms$/, '')}, ${span(page.range.before.first, page.range.before.last)}` : 'change') : null, el('td', {class: 'share-cell'}))),
    el('tbody', {}, rows))), more > 0 ? el('button', {class: 'more', type: 'button', onclick: () => showTable(panel, page)}, `and ${more} more`) : null);
}

export function shareBar(share) {
  const bar = el('span', {class: 'share-bar', 'aria-hidden': 'true'}, el('i', {}));
  bar.firstChild.style.width = Math.round(100 * share) + '%';
  return bar;
}
