// pipeline.js - the operator's page: whether the books hold, in a sentence; how fast and how late everything is, live; who does what; what waits, and why.
import {bytes, el, exact, figure, foreign, NBSP, seconds} from './format.js';
import {forgetCharts, legend, lines, replaceData, sparkline} from './chart.js';
import {shareBar} from './panels.js';

const LENGTHS = {'15m': 900, '1h': 3600, '6h': 21600, '24h': 86400};
const LOOK_MS = 5000, UNKNOWN = 'Unknown: the database did not say.';

let site = null, place = null, rows = [], facts = null, generation = 0, charts = null, failure = null;

export function leavePipeline() { generation++; site = null; charts = null; }

export function showPipeline(content, given) {
  const isNew = site === null || site.live !== given.live;
  site = given;
  place = content;
  if (isNew) { generation++; charts = null; rows = []; }
  forgetCharts();
  charts = null;
  draw();
  if (isNew) { lookAgain(generation); followLive(generation); }
}

const waited = ms => new Promise(done => setTimeout(done, ms));

async function lookAgain(mine) {
  while (mine === generation) {
    const {code, json} = await site.ask('/api/v1/pipeline');
    if (mine !== generation) return;
    failure = code === 200 ? null : 'The dashboard does not answer. It is asked again every few seconds.';
    // While Postgres is away the tables stay as they were last seen, and say so.
    if (code === 200) facts = json.postgres && facts ? {...facts, ...json, seen: facts.seen} : {...json, seen: json.postgres ? null : json.at};
    draw();
    await waited(LOOK_MS);
  }
}

async function followLive(mine) {
  let since = Date.now() - LENGTHS[site.live] * 1000;
  while (mine === generation) {
    const {code, json} = await site.ask(`/api/v1/pipeline/live?since=${Math.round(since)}`);
    if (mine !== generation) return;
    if (code !== 200) { await waited(LOOK_MS); continue; }
    for (const row of json.rows) { rows.push(row); since = Math.max(since, row[0]); }
    const oldest = Date.now() - LENGTHS[site.live] * 1000;
    rows = rows.filter(row => row[0] >= oldest);
    draw();
    if (json.rows.length === 0) await waited(1000);
  }
}

// ---- the verdict ----

function verdict() {
  const {books} = facts, sum = {consumed: 0, stored: 0, duplicates: 0, dead_letters: 0, skipped: 0, gaps: 0};
  for (const one of books.totals) for (const name of Object.keys(sum)) sum[name] += one[name];
  const equation = `${exact(sum.consumed)} offsets = ${exact(sum.stored)} stored + ${exact(sum.duplicates)} duplicates + ${exact(sum.dead_letters)} dead letters + ${exact(sum.skipped)} skipped + ${exact(sum.gaps)} gaps`;
  const when = books.at ? ` · books checked ${seconds(Math.max(0, (facts.at - books.at) / 1000))} ago` : '';
  if (books.verdict === 'damaged')
    return site.banner('bad', 'The books do not hold.', el('ul', {}, books.damages.map(text => el('li', {}, foreign(text)))), el('p', {}, 'What to do: ', el('code', {}, 'tallymill audit --deep'), ' names every damage and its place', when));
  if (books.verdict !== 'ok' && facts.postgres) return site.banner('warn', 'Not proven while Postgres is away.', 'What was stored is stored; the books are checked again when it answers.');
  if (books.verdict !== 'ok')
    return site.banner('warn', 'Not proven at the moment.', books.trouble ? foreign(books.trouble) : 'The books are being checked for the first time.');
  if (sum.consumed === 0) return site.banner('good', 'Nothing was stored yet.', 'The books are empty and hold.', when);
  if (sum.gaps > 0) return site.banner('warn', `${exact(sum.gaps)} offsets were gone from Kafka before they were read.`, `Nothing else is lost, nothing is stored twice. ${equation}${when}`);
  return site.banner('good', 'Nothing is lost, nothing is stored twice.', equation + when);
}

// What is wrong now, and what to do: the first lines of the page.
function alarms() {
  const found = [], {kafka, statistics, troubles, rollups, dead_letters: dead} = facts;
  const last = rows[rows.length - 1];
  if (failure) found.push(site.banner('bad', failure));
  if (facts.postgres) found.push(site.banner('bad', 'Postgres does not answer:', foreign(facts.postgres), facts.seen ? ` Tables below are of ${new Date(facts.seen).toISOString().slice(11, 19)} UTC. It is asked again every few seconds.` : ' It is asked again every few seconds.'));
  if (kafka.trouble && kafka.trouble !== 'it was not asked yet') found.push(site.banner('bad', 'Kafka does not answer, so the lag is unknown:', foreign(kafka.trouble)));
  for (const one of troubles || []) found.push(site.banner('bad', `Worker ${one.owner} has not stored a batch for ${seconds(one.since_us / 1e6)}:`, foreign(one.reason)));
  const stands = rows.length > 1 && rows.slice(-2).every(row => row[1] === 0 && row[4] > 0) && last[3] > 5;
  if (stands && (troubles || []).length === 0)
    found.push(site.banner('bad', `${figure(last[4])} events wait and none is being stored.`, 'Is a worker running? ', el('code', {}, 'systemctl status "tallymill-consumer@*"')));
  else if (last && last[3] > 300) found.push(site.banner('warn', `The oldest event waits for ${seconds(last[3])}.`, 'More workers help while the topic has more topic partitions than workers.'));
  const facts0 = statistics && statistics[0];
  if (facts0 && !facts0.leader && facts0.leader_since) found.push(site.banner('bad', 'No aggregator runs, so the statistics stand still.', el('code', {}, 'systemctl start tallymill-aggregator')));
  else if (facts0 && !facts0.leader_since) found.push(site.banner('warn', 'No aggregator has run yet.', el('code', {}, 'systemctl start tallymill-aggregator')));
  const gap = (facts.gaps || []).find(one => one.ago_s < 3600);
  if (gap) found.push(site.banner('bad', `${exact(gap.offsets)} offsets of topic partition ${gap.topic_partition} were gone from Kafka before they were read (${gap.reason}), ${seconds(gap.ago_s)} ago.`, 'They cannot be read any more. Was a worker stopped for longer than the topic keeps its events? ', el('code', {}, 'tallymill audit'), ' lists every gap'));
  const failed = (rollups || []).filter(one => one.failed > 0);
  if (failed.length > 0) found.push(site.banner('bad', `The rollup ${failed[0].rollup} fails:`, foreign(failed[0].error || ''), failed.length > 1 ? ` So do ${failed.length - 1} others.` : ''));
  const recent = (dead || []).reduce((sum, one) => sum + one.recent, 0), all = rows.slice(-60).reduce((sum, row) => sum + (row[1] || 0) * 5, 0);
  if (recent >= 20 && recent > all / 10)
    found.push(site.banner('bad', `${exact(recent)} dead letters in five minutes: somebody sends what cannot be stored.`, `Most often: ${dead.slice().sort((one, other) => other.recent - one.recent)[0].reason}. `, el('code', {}, 'tallymill dlq'), ' lists them by reason'));
  return found;
}

// ---- tiles ----

const column = at => rows.map(row => row[at]);

function tile(name, value, sub, values, kind) {
  return el('section', {class: 'card tile' + (kind ? ' ' + kind : '')}, el('h2', {class: 'tile-name'}, name), el('div', {class: 'tile-value'}, value), el('div', {class: 'soft'}, sub), values ? sparkline(values.slice(-120)) : null);
}

function tiles() {
  const recent = rows.slice(-24), known = recent.map(row => row[1]).filter(value => value !== null), last = rows[rows.length - 1];
  const mean = known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  const dead = facts.dead_letters ? facts.dead_letters.reduce((sum, one) => sum + one.count, 0) : null;
  const disk = facts.disk && facts.disk[0], months = facts.months || [], ahead = months.filter(one => one.is_ahead);
  const partitions = facts.topic_partitions ? facts.topic_partitions.filter(one => one.topic === facts.topic).length : null;
  return el('div', {class: 'tiles'},
    tile('Stored', mean === null ? 'unknown' : figure(Math.round(mean)) + NBSP + '/s', 'events, mean of two minutes', column(1)),
    tile('Lag', last && last[3] !== null ? seconds(last[3]) : 'unknown', last && last[4] !== null ? `${figure(last[4])} events, ${partitions ?? '?'} topic partitions` : 'of the oldest event that waits', column(3)),
    tile('Statistics', last && last[5] !== null ? seconds(last[5]) : 'unknown', 'behind the rows', column(5)),
    tile('Dead letters', dead === null ? 'unknown' : figure(dead), 'in the last 24 hours'),
    tile('Disk', disk ? bytes(disk.bytes) : 'unknown', disk && disk.day_bytes ? `events and indexes; ${bytes(disk.day_bytes)} more a day` : 'events and indexes'),
    tile('Months ready', facts.months ? String(ahead.length) : 'unknown', !facts.months ? 'made before they begin' : ahead.length > 0 ? `until the end of ${ahead[0].month}` : 'none ahead: the aggregator makes them', null, facts.months && ahead.length === 0 ? 'alarm' : null));
}

// ---- charts ----

const perSecond = value => figure(value) + NBSP + '/s';

function charted(name, title, sub, list, format, least) {
  const x = rows.map(row => row[0] / 1000), known = list[0].at !== undefined ? column(list[0].at).filter(value => value !== null) : [];
  const series = list.map(one => ({...one, values: column(one.at)}));
  const box = lines({x, series, format, axis: format === seconds ? value => Number(value.toFixed(2)) + NBSP + 's' : undefined, least, xRange: () => { const now = Date.now() / 1000; return [now - LENGTHS[site ? site.live : '15m'], now]; }, height: name === 'small' ? 130 : 200, name: at => new Date(at * 1000).toISOString().slice(11, 19) + ' UTC', floor: 0,
    says: `${title}: ${known.length > 0 ? `now ${format(known[known.length - 1])}, at most ${format(Math.max(...known))}` : 'nothing is known'}.`});
  return {box, list, card: el('section', {class: 'card', 'aria-label': title}, el('div', {class: 'card-head'}, el('div', {class: 'names'}, el('h2', {}, title), el('span', {class: 'sub'}, sub))), box, legend(series))};
}

function makeCharts() {
  charts = [
    charted('big', 'Events per second', 'stored by the workers; published to Kafka', [{at: 1, label: 'stored', color: '--accent', fill: '--fill'}, {at: 2, label: 'published', color: '--acceptable', dash: true, width: 1.6}], perSecond, 10),
    charted('big', 'Lag', 'age of the oldest event that is not stored', [{at: 3, label: 'slowest topic partition', color: '--pink', fill: '--fill-pink'}], seconds, 1),
    charted('small', 'Lag in events', 'not stored yet', [{at: 4, label: 'all topic partitions', color: '--teal'}], value => figure(value), 10),
    charted('small', 'Statistics', 'seconds behind the rows', [{at: 5, label: 'behind', color: '--excellent'}], seconds, 1),
  ];
}

// ---- tables ----

function table(title, sub, heads, body, empty) {
  return el('section', {class: 'card', 'aria-label': title}, el('div', {class: 'card-head'}, el('div', {class: 'names'}, el('h2', {}, title), el('span', {class: 'sub'}, sub))),
    body.length === 0 ? el('p', {class: 'nothing'}, empty) : el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title}, el('table', {class: 'table'},
      el('thead', {}, el('tr', {}, heads.map(([name, isRight]) => el('th', {class: isRight ? 'right' : null, scope: 'col'}, name)))), el('tbody', {}, body))));
}

const right = (text, title) => el('td', {class: 'right', title: title || null}, text);

function topicPartitions() {
  const {kafka} = facts, list = (facts.topic_partitions || []).map(one => ({...one, lag: one.topic === facts.topic && kafka.ends[one.topic_partition] !== null && kafka.ends[one.topic_partition] !== undefined
    ? Math.max(0, kafka.ends[one.topic_partition] - one.next_offset) : null, lag_s: one.topic === facts.topic ? kafka.lag_s[one.topic_partition] : null}));
  list.sort((one, other) => (other.lag_s || 0) - (one.lag_s || 0) || one.topic_partition - other.topic_partition);
  const topics = new Set(list.map(one => one.topic));
  return table('Topic partitions', 'who stores them, and how far; the latest first', [['', true], ['owner'], ['position', true], ['lag', true], ['', true], ['last commit', true], ['epoch', true]], list.slice(0, 64).map(one => el('tr', {},
    right(topics.size > 1 ? `${one.topic} ${one.topic_partition}` : String(one.topic_partition)), el('td', {class: 'mono text'}, one.owner ? foreign(one.owner) : el('span', {class: 'soft'}, 'nobody')), right(exact(one.next_offset)),
    right(one.lag === null ? 'unknown' : exact(one.lag)), right(one.lag_s === null || one.lag_s === undefined ? '' : one.lag > 0 ? seconds(one.lag_s) : ''), right(one.commit_age_us === null ? 'never' : seconds(one.commit_age_us / 1e6) + ' ago'), right(exact(one.epoch)))),
  facts.topic_partitions ? 'No worker has run yet: start tallymill-consumer.' : UNKNOWN);
}

function months() {
  const most = Math.max(1, ...(facts.months || []).map(one => one.bytes));
  return table('Months', 'of the events; rows about', [['month'], ['state'], ['rows', true], ['size', true], ['share of disk']], (facts.months || []).slice(0, 24).map(one => el('tr', {}, el('td', {}, one.month),
    el('td', {}, one.is_ahead ? el('span', {class: 'soft'}, 'ahead') : one.state), right(figure(one.rows), exact(one.rows)), right(bytes(one.bytes)), el('td', {class: 'share-cell wide'}, shareBar(one.is_ahead ? 0 : one.bytes / most)))), facts.months ? 'No month was made: run tallymill migrate.' : UNKNOWN);
}

function waiting() {
  const lists = [
    ...(facts.rollups || []).map(one => el('tr', {}, el('td', {}, 'rollup ', el('b', {}, one.rollup)), right(exact(one.waiting)), el('td', {class: 'text'}, one.error ? foreign(one.error) : one.failed > 0 ? 'its query fails' : 'events have changed since'))),
    ...(facts.days || []).map(one => el('tr', {}, el('td', {}, 'day ', el('b', {}, one.day)), right('1'), el('td', {class: 'text'}, foreign(`${one.reason || 'to be rebuilt'}, for ${seconds(one.waits_s)}`)))),
    ...(facts.gaps || []).map(one => el('tr', {}, el('td', {}, `gap in topic partition ${one.topic_partition}`), right(exact(one.offsets)), el('td', {class: 'text'}, foreign(`${one.reason}, noticed ${seconds(one.ago_s)} ago`)))),
  ];
  return table('What waits', 'to be computed anew, or is gone', [['what'], ['how many', true], ['why']], lists, facts.rollups && facts.days && facts.gaps ? 'Nothing waits.' : UNKNOWN);
}

function deadLetters() {
  const list = facts.dead_letters || [], most = Math.max(1, ...list.map(one => one.count)), sum = list.reduce((all, one) => all + one.count, 0);
  return el('section', {class: 'card', 'aria-label': 'Dead letters'}, el('div', {class: 'card-head'}, el('div', {class: 'names'}, el('h2', {}, 'Dead letters'), el('span', {class: 'sub'}, 'by reason, the last 24 hours'))),
    list.length === 0 ? el('p', {class: 'nothing'}, facts.dead_letters ? 'None.' : UNKNOWN) : el('ol', {class: 'list'}, list.slice(0, 6).map(one => {
      const row = el('li', {}, el('span', {class: 'list-bar'}, el('i', {}), foreign(one.reason)), el('b', {title: exact(one.count)}, figure(one.count)), el('span', {class: 'soft'}, Math.round(100 * one.count / sum) + NBSP + '%'));
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

function draw() {
  if (!site) return;
  if (!facts) {
    place.replaceChildren(failure ? site.banner('bad', failure) : el('div', {class: 'waiting', role: 'status'}, 'Asking …'));
    return;
  }
  const had = charts;
  if (!charts) makeCharts();
  else for (const chart of charts) replaceData(chart.box, [rows.map(one => one[0] / 1000), ...chart.list.map(one => column(one.at))]);
  const top = [verdict(), ...alarms(), tiles()];
  const bottom = [row('halves', topicPartitions(), months()), row('halves', waiting())];
  const dead = deadLetters();
  if (had) { // the charts stay where they are: they are drawn on, not anew
    const scrolls = [...place.querySelectorAll('.scroll')].map(one => [one.scrollLeft, one.scrollTop]);
    place.querySelector('#top').replaceChildren(...top);
    place.querySelector('#bottom').replaceChildren(...bottom);
    place.querySelector('#dead').replaceChildren(dead);
    [...place.querySelectorAll('.scroll')].forEach((one, at) => { if (scrolls[at]) [one.scrollLeft, one.scrollTop] = scrolls[at]; });
  } else {
    place.replaceChildren(el('div', {id: 'top', class: 'stack'}, top), row('halves', charts[0].card, charts[1].card), row('thirds', charts[2].card, charts[3].card, el('div', {id: 'dead', class: 'stack'}, dead)), el('div', {id: 'bottom', class: 'stack'}, bottom));
  }
  const last = rows[rows.length - 1];
  if (failure || facts.postgres) site.status('no answer', 'bad');
  else if (last && last[5] !== null) site.status(`${seconds(last[5])} behind`, last[5] < 10 ? 'good' : last[5] < 120 ? 'warn' : 'bad', 'The statistics, behind the stored rows');
}
