// live.js - the charts of the operator's page: the last day, live, from the dashboard's memory; 28 days, by the hour, from what the ledger keeps. And what the cards of
// that page have: their rows as a table and as CSV, and what was asked.
import {bytes, dayName, el, exact, figure, NBSP, seconds} from './format.js';
import {legend, lines} from './chart.js';
import {copyButton, dialog, plainTable} from './panels.js';

export const UNKNOWN = 'Unknown: the database did not say.';
const HALF_A_MINUTE = 30;

// ---- Table, CSV, SQL ----

const csvOf = name => `/api/v1/pipeline/${name}.csv`;
const readable = name => name.replace(/_/g, ' ');

async function showSql(title, names, note) {
  const texts = await Promise.all(names.map(name => fetch(`/api/v1/pipeline/${name}.sql`).then(answer => answer.text()).catch(() => 'The dashboard does not answer.')));
  dialog(`${title}: ${names.length === 1 ? 'its query' : 'its queries'}`, el('p', {class: 'soft'}, note || 'It runs in psql as it stands.'), texts.map(text => [el('pre', {tabindex: 0}, text.trim()), copyButton(text)]));
}

const plain = (columns, list) => el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'rows'}, plainTable(columns, list, {show: 'table'}));
const nothing = text => el('p', {class: 'nothing'}, text);
const button = (label, title, what, work) => el('button', {type: 'button', class: 'tool', onclick: work, 'aria-label': `${title}: ${what}`}, label);
const csvLink = (title, name) => el('a', {class: 'tool', href: csvOf(name), download: '', 'aria-label': `${title}: rows as CSV`}, 'CSV');

// Of tables of the database, whose rows are facts()[name].
export function toolsOf(title, names, facts) {
  const showTables = () => dialog(title, names.map(name => {
    const list = facts()[name] || [], columns = list.length > 0 ? Object.keys(list[0]) : [];
    return [names.length > 1 ? el('h3', {}, readable(name)) : null, list.length > 0 ? plain(columns.map(readable), list.map(one => columns.map(column => one[column]))) : nothing(facts()[name] ? 'None.' : UNKNOWN)];
  }));
  const showCsvs = () => dialog(`${title}: as CSV`, el('ul', {class: 'files'}, names.map(name => el('li', {}, el('a', {href: csvOf(name), download: ''}, readable(name))))));
  return el('div', {class: 'tools'}, button('Table', title, 'as a table', showTables), names.length === 1 ? csvLink(title, names[0]) : button('CSV', title, 'rows as CSV', showCsvs),
    button('SQL', title, 'its query', () => showSql(title, names)));
}

const moment = at => new Date(at).toISOString().slice(0, 19).replace('T', ' ');

function liveTools(title, list, seen, isAsked) {
  const csv = csvLink(title, 'live');
  csv.addEventListener('click', () => csv.setAttribute('href', `${csvOf('live')}?seconds=${seen.length}`));
  return el('div', {class: 'tools'},
    button('Table', title, 'as a table', () => dialog(`${title}, UTC`, plain(['until', ...list.map(one => one.label)], seen.rows.slice().reverse().map(row => [moment(row[0]), ...list.map(one => row[one.at])])))), csv,
    button('SQL', title, 'its query', () => isAsked ? showSql(title, ['positions'], 'What is asked each second, beside the ends of Kafka\'s logs. A row of five seconds has the highest of them; a day of rows is kept in memory.')
      : dialog(title, el('p', {}, 'No query: each worker that dashboard.workers names shows a histogram of its commits on its /metrics. A row has the percentiles of the five seconds before it.'))));
}

const ratesTools = (title, rates) => el('div', {class: 'tools'}, button('Table', title, 'as a table', () => dialog(`${title}, by hour, UTC`, rates ? plain(rates.columns.map(readable), rates.rows.slice().reverse()) : nothing(UNKNOWN))),
  csvLink(title, 'rates'), button('SQL', title, 'its query', () => showSql(title, ['rates'])));

// ---- charts ----

const perSecond = value => figure(value) + NBSP + '/s', milliseconds = value => figure(value, 'ms'), count = value => figure(value);

// list: [{at, label, color, ...}]; source: {x, values(at)}; about: title, sub, format, tools, and what lines() takes.
function charted(list, source, about) {
  const series = list.map(one => ({...one, values: source.values(one.at)})), known = series[0].values.filter(value => value !== null), {title, format} = about;
  const box = lines({...about, x: source.x, series, floor: 0, isWhole: format === perSecond || format === count, axis: format === seconds ? value => Number(value.toFixed(2)) + NBSP + 's' : undefined,
    says: `${title}: ${known.length > 0 ? `now ${format(known[known.length - 1])}, at most ${format(Math.max(...known))}` : 'nothing is known'}.`});
  return {box, list, card: el('section', {class: 'card', 'aria-label': title}, el('div', {class: 'card-head'}, el('div', {class: 'names'}, el('h2', {}, title), el('span', {class: 'sub'}, about.sub)), about.tools), box, legend(series))};
}

// What the server's clock shows, in seconds: the browser's is ahead of it by so much.
const serverNow = seen => (Date.now() - seen.ahead) / 1000;

// {big, small}: the charts of the first row, and those of the second. seen: {rows, length (seconds), facts, rates, ahead (ms)} of pipeline.js, and stays the same object.
export function liveCharts(seen) {
  const {workers} = seen.facts;
  const column = at => seen.rows.map(row => row[at]);
  const chart = (height, title, sub, list, format, least, isAsked = true) => charted(list, {x: seen.rows.map(row => row[0] / 1000), values: column}, {title, sub, format, least, height, tools: liveTools(title, list, seen, isAsked),
    xRange: () => { const now = serverNow(seen); return [now - seen.length, now]; }, name: at => new Date(at * 1000).toISOString().slice(11, 19) + ' UTC'});
  const big = [
    chart(200, 'Events per second', 'stored by the workers; published to Kafka', [{at: 1, label: 'stored', color: '--accent', fill: '--fill'}, {at: 2, label: 'published', color: '--acceptable', dash: true, width: 1.6}], perSecond, 10),
    chart(200, 'Lag', 'age of the oldest event that is not stored', [{at: 3, label: 'slowest topic partition', color: '--pink', fill: '--fill-pink'}], seconds, 1),
  ], small = [
    chart(130, 'Lag in events', 'not stored yet', [{at: 4, label: 'all topic partitions', color: '--teal'}], count, 10),
    chart(130, 'Statistics', 'seconds behind the rows', [{at: 5, label: 'behind', color: '--excellent'}], seconds, 1),
  ];
  if (workers && workers.length > 0)
    small.unshift(chart(130, 'Commit', 'BEGIN to the answer to COMMIT', [{at: 6, label: 'p50', color: '--teal'}, {at: 7, label: 'p99', color: '--pink', width: 1.4}], milliseconds, 10, false));
  return {big, small};
}

// The same for 28 days. Lag, freshness and times of commits are kept for a day only.
export function monthCharts(seen) {
  const {rates} = seen, {columns, rows: hours} = rates || {columns: [], rows: []}, x = hours.map(one => Date.parse(one[0]) / 1000 + HALF_A_MINUTE * 60), now = serverNow(seen);
  const values = name => hours.map(one => one[columns.indexOf(name)]), nameOf = at => `${dayName(new Date(at * 1000).toISOString().slice(0, 10))}, ${new Date(at * 1000).toISOString().slice(11, 13)}:00 to ${new Date(at * 1000).toISOString().slice(11, 13)}:59 UTC`;
  const chart = (height, title, sub, list, format, least) => charted(list, {x, values}, {title, sub, format, least, height, days: true, tools: ratesTools(title, rates), xRange: () => [now - 28 * 86400, now], name: nameOf});
  return {
    big: [chart(220, 'Events per second', 'stored; mean of each hour, and its fastest minute', [{at: 'stored_per_s', label: 'mean', color: '--accent', fill: '--fill'}, {at: 'fastest_minute_per_s', label: 'fastest minute', color: '--acceptable', width: 1.2}], perSecond, 10)],
    small: [
      chart(130, 'Dead letters by hour', 'kept with their reason', [{at: 'dead_letters', label: 'dead letters', color: '--pink', fill: '--fill-pink'}], count, 10),
      chart(130, 'Came again', 'read a second time, and not stored again', [{at: 'duplicates', label: 'duplicates', color: '--teal'}, {at: 'skipped', label: 'skipped', color: '--orange'}], count, 10),
    ],
  };
}

// What the tile says of the disk, as `tallymill doctor` knows it.
export function roomText(disk, room) {
  if (room) return `${bytes(room.free_bytes)} free${room.days_left >= 0 ? `: ${room.days_left > 3650 ? 'ten years or more' : `${exact(room.days_left)} days`} at this rate` : ''}`;
  return disk && disk.day_bytes ? `events and indexes; ${bytes(disk.day_bytes)} more a day` : 'events and indexes';
}
