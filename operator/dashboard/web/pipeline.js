// pipeline.js - the operator's page: whether the books hold, and what is wrong, in sentences; how fast and how late everything is, live; who does what; what waits, and why.
import {bytes, el, exact, figure, foreign, keepFocus, many, NBSP, percent, renew, seconds} from './format.js';
import {forgetCharts, replaceData, sparkline} from './chart.js';
import {alarms, verdict} from './alarms.js';
import {liveCharts, monthCharts, roomText, toolsOf, UNKNOWN} from './live.js';
import {shareBar} from './panels.js';

const LENGTHS = {'15m': 900, '1h': 3600, '6h': 21600, '24h': 86400}, MONTH = '28d';
const LOOK_MS = 3000, RATES_MS = 60000;
// Rows of five seconds at the end, which the server never thins (ring.h): two minutes for a mean, five for a small curve.
const MEAN = 24, RECENT = 60;

let site = null, place = null, generation = 0, charts = null;
const seen = {facts: null, rows: [], rates: null, failure: null, length: LENGTHS['15m'], ahead: 0};

export function leavePipeline() { generation++; site = null; charts = null; }

export function showPipeline(content, given) {
  const isNew = site === null || site.live !== given.live;
  site = given;
  place = content;
  if (isNew) { generation++; seen.rows = []; seen.length = LENGTHS[site.live] || LENGTHS['15m']; }
  forgetCharts();
  charts = null;
  draw();
  if (isNew) { lookAgain(generation); followLive(generation); }
  if (isNew && site.live === MONTH) followRates(generation);
}

const waited = ms => new Promise(done => setTimeout(done, ms));

async function lookAgain(mine) {
  while (mine === generation) {
    const {code, json} = await site.ask('/api/v1/pipeline');
    if (mine !== generation) return;
    seen.failure = code === 200 ? null : 'The dashboard does not answer. It is asked again every few seconds.';
    // While Postgres is away the tables stay as they were last seen, and say so.
    if (code === 200) seen.facts = json.postgres && seen.facts ? {...seen.facts, ...json, seen: seen.facts.seen} : {...json, seen: json.postgres ? null : json.at};
    draw();
    await waited(LOOK_MS);
  }
}

// By the server's clock, which the rows have: the browser's may be any.
async function followLive(mine) {
  let newest = 0;
  while (mine === generation) {
    const {code, json} = await site.ask(`/api/v1/pipeline/live?${newest > 0 ? `since=${newest}` : `seconds=${seen.length}`}`);
    if (mine !== generation) return;
    if (code !== 200) { await waited(LOOK_MS); continue; }
    newest = json.rows.reduce((last, row) => Math.max(last, row[0]), newest);
    seen.ahead = Date.now() - json.at;
    seen.rows = [...seen.rows, ...json.rows].filter(row => row[0] >= json.at - seen.length * 1000);
    draw();
    if (json.rows.length === 0) await waited(1000);
  }
}

// What the database keeps of 28 days: the charts are drawn anew with it.
async function followRates(mine) {
  while (mine === generation) {
    const {code, json} = await site.ask('/api/v1/pipeline/rates.json');
    if (mine !== generation) return;
    if (code === 200) { seen.rates = json; charts = null; draw(); }
    await waited(code === 200 ? RATES_MS : LOOK_MS);
  }
}

// ---- tiles ----

const column = at => seen.rows.map(row => row[at]);

function tile(name, value, sub, values, kind, title) {
  return el('section', {class: 'card tile' + (kind ? ' ' + kind : ''), title: title || null}, el('h2', {class: 'tile-name'}, name), el('div', {class: 'tile-value'}, value), el('div', {class: 'soft'}, sub), values ? sparkline(values.slice(-RECENT)) : null);
}

// Of each topic partition, where the pointer stands on the tile.
const lagOfEach = kafka => (kafka.lag_s || []).slice(0, 64).map((lag, at) => `topic partition ${at}: ${seconds(lag)}`).join(' · ');

function tiles({facts, rows}) {
  const recent = rows.slice(-MEAN), known = recent.map(row => row[1]).filter(value => value !== null), last = rows[rows.length - 1];
  const mean = known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  const dead = facts.dead_letters ? facts.dead_letters.reduce((sum, one) => sum + one.count, 0) : null;
  const disk = facts.disk && facts.disk[0], {room} = facts, months = facts.months || [], ahead = months.filter(one => one.is_ahead);
  const partitions = facts.topic_partitions ? facts.topic_partitions.filter(one => one.topic === facts.topic).length : null;
  return el('div', {class: 'tiles'},
    tile('Stored', mean === null ? 'unknown' : figure(Math.round(mean)) + NBSP + '/s', 'events, mean of two minutes', column(1)),
    tile('Lag', last && last[3] !== null ? seconds(last[3]) : 'unknown', last && last[4] !== null ? `${many(last[4], 'event', figure)}, ${many(partitions ?? 0, 'topic partition')}` : 'of the oldest event that waits', column(3), null, lagOfEach(facts.kafka)),
    tile('Statistics', last && last[5] !== null ? seconds(last[5]) : 'unknown', 'behind the rows', column(5)),
    tile('Dead letters', dead === null ? 'unknown' : figure(dead), 'in the last 24 hours'),
    tile('Disk', disk ? bytes(disk.bytes) : 'unknown', roomText(disk, room), null, room && room.room === 'short' ? 'alarm' : null),
    tile('Months ready', facts.months ? String(ahead.length) : 'unknown', !facts.months ? 'made before they begin' : ahead.length > 0 ? `until the end of ${ahead[0].month}` : 'none ahead: the aggregator makes them', null, facts.months && ahead.length === 0 ? 'alarm' : null));
}

// ---- tables ----

function table(title, sub, names, heads, body, empty) {
  return el('section', {class: 'card', 'aria-label': title}, el('div', {class: 'card-head'}, el('div', {class: 'names'}, el('h2', {}, title), el('span', {class: 'sub'}, sub)), toolsOf(title, names, () => seen.facts)),
    body.length === 0 ? el('p', {class: 'nothing'}, empty) : el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title}, el('table', {class: 'table'},
      el('thead', {}, el('tr', {}, heads.map(([name, isRight]) => el('th', {class: isRight ? 'right' : null, scope: 'col'}, name)))), el('tbody', {}, body))));
}

const right = (text, title) => el('td', {class: 'right', title: title || null}, text);

function topicPartitions(facts) {
  const {kafka} = facts, list = (facts.topic_partitions || []).map(one => ({...one, lag: one.topic === facts.topic && kafka.ends[one.topic_partition] !== null && kafka.ends[one.topic_partition] !== undefined
    ? Math.max(0, kafka.ends[one.topic_partition] - one.next_offset) : null, lag_s: one.topic === facts.topic ? kafka.lag_s[one.topic_partition] : null}));
  list.sort((one, other) => (other.lag_s || 0) - (one.lag_s || 0) || one.topic_partition - other.topic_partition);
  const topics = new Set(list.map(one => one.topic));
  return table('Topic partitions', 'who stores them, and how far; the most behind first', ['topic_partitions'], [['#', true], ['owner'], ['position', true], ['lag', true], ['last commit', true], ['epoch', true]], list.slice(0, 64).map(one => el('tr', {},
    right(topics.size > 1 ? `${one.topic} ${one.topic_partition}` : String(one.topic_partition)), el('td', {class: 'mono text'}, one.owner ? foreign(one.owner) : el('span', {class: 'soft'}, 'nobody')), right(exact(one.next_offset)),
    right(one.lag === null ? 'unknown' : one.lag > 0 && typeof one.lag_s === 'number' ? `${exact(one.lag)}, ${seconds(one.lag_s)}` : exact(one.lag)), right(one.commit_age_us === null ? 'never' : seconds(one.commit_age_us / 1e6) + ' ago'), right(exact(one.epoch)))),
  facts.topic_partitions ? 'No worker has run yet: start tallymill-consumer.' : UNKNOWN);
}

function months(facts) {
  const most = Math.max(1, ...(facts.months || []).map(one => one.bytes));
  return table('Months', 'tables of the events; rows are estimates', ['months'], [['month'], ['state'], ['rows', true], ['size', true], ['share of disk']], (facts.months || []).slice(0, 24).map(one => el('tr', {}, el('td', {}, one.month),
    el('td', {}, one.is_ahead ? el('span', {class: 'soft'}, 'ahead') : one.state), right(figure(one.rows), exact(one.rows)), right(bytes(one.bytes)), el('td', {class: 'share-cell wide'}, shareBar(one.is_ahead ? 0 : one.bytes / most)))), facts.months ? 'No month was made: run tallymill migrate.' : UNKNOWN);
}

function waiting(facts) {
  const lists = [
    ...(facts.rollups || []).map(one => el('tr', {}, el('td', {}, 'rollup ', el('b', {}, one.rollup)), right(exact(one.waiting)), el('td', {class: 'text'}, one.error ? foreign(one.error) : one.failed > 0 ? 'its query fails' : 'events have changed since'))),
    ...(facts.views || []).map(one => el('tr', {}, el('td', {}, 'view ', el('b', {}, one.view)), right('1'), el('td', {class: 'text'}, foreign(one.error)))),
    ...(facts.days || []).map(one => el('tr', {}, el('td', {}, 'day ', el('b', {}, one.day)), right('1'), el('td', {class: 'text'}, foreign(`${one.reason || 'to be rebuilt'}, for ${seconds(one.waits_s)}`)))),
    ...(facts.gaps || []).map(one => el('tr', {}, el('td', {}, `gap in topic partition ${one.topic_partition}`), right(exact(one.offsets)), el('td', {class: 'text'}, foreign(`${one.reason}, noticed ${seconds(one.ago_s)} ago`)))),
  ];
  return table('What waits', 'to be computed anew, or is gone', ['rollups', 'views', 'days', 'gaps'], [['what'], ['how many', true], ['why']], lists, facts.rollups && facts.views && facts.days && facts.gaps ? 'Nothing waits.' : UNKNOWN);
}

function deadLetters(facts) {
  const list = facts.dead_letters || [], most = Math.max(1, ...list.map(one => one.count)), sum = list.reduce((all, one) => all + one.count, 0);
  return el('section', {class: 'card', 'aria-label': 'Dead letters'}, el('div', {class: 'card-head'}, el('div', {class: 'names'}, el('h2', {}, 'Dead letters'), el('span', {class: 'sub'}, 'by reason, the last 24 hours')), toolsOf('Dead letters', ['dead_letters'], () => seen.facts)),
    list.length === 0 ? el('p', {class: 'nothing'}, facts.dead_letters ? 'None.' : UNKNOWN) : el('ol', {class: 'list'}, list.slice(0, 6).map(one => {
      const row = el('li', {}, el('span', {class: 'list-bar'}, el('i', {}), foreign(one.reason)), el('b', {title: exact(one.count)}, figure(one.count)), el('span', {class: 'soft'}, percent(one.count / sum)));
      row.querySelector('i').style.width = 100 * one.count / most + '%';
      return row;
    })), list.length > 6 ? el('p', {class: 'soft foot'}, `and ${list.length - 6} other reasons: tallymill dlq`) : null);
}

// ---- the whole ----

function row(kind, ...cards) {
  const box = el('div', {class: 'row ' + kind}, cards);
  box.style.setProperty('--columns', cards.length);
  return box;
}

// The charts, and the places of what changes around them.
function layOut() {
  forgetCharts();
  const {big, small} = site.live === MONTH ? monthCharts(seen) : liveCharts(seen);
  const cards = [...small.map(one => one.card), el('div', {id: 'dead', class: 'stack'})];
  charts = site.live === MONTH ? [] : [...big, ...small];
  place.replaceChildren(el('div', {id: 'top', class: 'stack'}), row(big.length > 1 ? 'halves' : 'fulls', ...big.map(one => one.card)), row(cards.length > 3 ? 'quarters' : 'thirds', ...cards), el('div', {id: 'bottom', class: 'stack'}));
}

function fill(facts) {
  renew(place.querySelector('#top'), [...alarms(seen, site.banner), verdict(facts, site.banner), tiles(seen)]);
  renew(place.querySelector('#dead'), [deadLetters(facts)]);
  renew(place.querySelector('#bottom'), [row('halves', topicPartitions(facts), months(facts)), row('halves', waiting(facts))]);
}

function sayFresh({facts, rows, failure}) {
  const last = rows[rows.length - 1];
  if (failure || facts.postgres) site.status('no answer', 'bad');
  else if (last && last[5] !== null) site.status(`${seconds(last[5])} behind`, last[5] < 10 ? 'good' : last[5] < 120 ? 'warn' : 'bad', 'The statistics, behind the stored rows');
}

function draw() {
  if (!site) return;
  if (!seen.facts) {
    place.replaceChildren(seen.failure ? site.banner('bad', seen.failure) : el('div', {class: 'waiting', role: 'status'}, 'Asking …'));
    return;
  }
  const scrolls = [...place.querySelectorAll('.scroll')].map(one => [one.scrollLeft, one.scrollTop]);
  keepFocus(place, () => {
    if (!charts) layOut();
    else for (const chart of charts) replaceData(chart.box, [seen.rows.map(one => one[0] / 1000), ...chart.list.map(one => column(one.at))]); // they are drawn on, not anew
    fill(seen.facts);
  });
  [...place.querySelectorAll('.scroll')].forEach((one, at) => { if (scrolls[at]) [one.scrollLeft, one.scrollTop] = scrolls[at]; });
  sayFresh(seen);
}
