// alarms.js - what is wrong with the pipeline now, and what to do: the first lines of the operator's page. And whether the ledger adds up, in a sentence: its rows alone
// are asked each minute; that the events are as many as it says is counted by `tallymill audit`.
//
// seen: {facts, rows, failure} of pipeline.js; banner: of dashboard.js.
import {announce, bytes, el, exact, figure, foreign, many, reason, seconds} from './format.js';

// A topic partition whose events wait for so long stands, if nothing of it was stored meanwhile: a worker commits each second or two.
const STANDS_S = 5, LATE_S = 300, FLOOD = 20;
// An aggregator that leads says so every few seconds; one that was killed, or whose machine is gone, has left no word.
export const UNSEEN_S = 120;

let announced = '';

// A command to run, and what it is for.
export const run = (command, why) => ['What to do: ', el('code', {}, command), why ? ` ${why}` : ''];
const timeOf = at => new Date(at).toISOString().slice(11, 19);

function standing({topic, topic_partitions: list, kafka}) {
  return (list || []).filter(one => one.topic === topic && kafka.lag_s[one.topic_partition] > STANDS_S && kafka.ends[one.topic_partition] > one.next_offset
    && (one.commit_age_us === null || one.commit_age_us > STANDS_S * 1e6));
}

function ofServers({facts, failure}, add) {
  const {kafka, troubles} = facts;
  if (failure) add('failure', 'bad', failure);
  if (facts.postgres) add('postgres', 'bad', 'Postgres does not answer:', foreign(reason(facts.postgres)), `. ${facts.seen ? `Tables below are of ${timeOf(facts.seen)} UTC. ` : ''}It is asked again every few seconds. `,
    run('tallymill doctor', 'tells whether it runs and lets this login in. Workers wait meanwhile; nothing is lost while Kafka keeps the events.'));
  const unread = Object.values(facts.failed || {});
  if (unread.length > 0) add('unread', 'warn', `${many(unread.length, 'table')} of this page could not be read:`, foreign(unread[0]), '. ', run('tallymill doctor', 'looks for what stands in the way.'));
  if (kafka.trouble && kafka.trouble !== 'it was not asked yet') add('kafka', 'bad', 'Kafka does not answer, so the lag is unknown:', foreign(kafka.trouble), '. ',
    run('tallymill doctor', 'tries each broker of kafka.bootstrap.servers. Applications keep their events meanwhile, in memory or in their spool.'));
  for (const one of troubles || []) add(`trouble ${one.owner}`, 'bad', `Worker ${one.owner} has not stored a batch for ${seconds(one.since_us / 1e6)}:`, foreign(one.reason), '. ', run('tallymill doctor', 'looks for what stands in its way.'));
}

function ofWorkers({facts, rows}, add) {
  const {troubles, workers, kafka} = facts, stand = facts.postgres ? [] : standing(facts), last = rows[rows.length - 1];
  for (const one of workers || [])
    if (one.trouble) add(`worker ${one.address}`, 'bad', `The worker at ${one.address} does not answer:`, foreign(one.trouble), '. ', run('systemctl status "tallymill-consumer@*"', 'tells whether it runs. Its topic partitions go to another worker, where there is one.'));
  if (stand.length > 0 && (troubles || []).length === 0) {
    const owners = [...new Set(stand.map(one => one.owner).filter(Boolean))], events = stand.reduce((sum, one) => sum + kafka.ends[one.topic_partition] - one.next_offset, 0);
    add('standing', 'bad', `${many(events, 'event', figure)} of ${stand.length === 1 ? `topic partition ${stand[0].topic_partition}` : `${stand.length} topic partitions`} wait and nobody stores them.`,
      owners.length > 0 ? ['Their last worker: ', foreign(owners.join(', ')), '. '] : null, run('systemctl status "tallymill-consumer@*"', 'tells whether a worker runs. What waits is stored as soon as one does.'));
  } else if (last && last[3] > LATE_S) {
    add('late', 'warn', `The oldest event waits for ${seconds(last[3])}.`, 'What to do: more workers help while the topic has more topic partitions than workers.');
  }
}

function ofStatistics({facts}, add) {
  const told = facts.statistics && facts.statistics[0], failed = (facts.rollups || []).filter(one => one.failed > 0);
  if (told && !told.leader && told.leader_since) add('leader', 'bad', 'No aggregator runs, so the statistics stand still.', run('systemctl start tallymill-aggregator'));
  else if (told && !told.leader_since) add('leader', 'warn', 'No aggregator has run yet.', run('systemctl start tallymill-aggregator'));
  else if (told && told.leader_seen_us > UNSEEN_S * 1e6) add('leader', 'warn', `The aggregator was last seen ${seconds(told.leader_seen_us / 1e6)} ago, so the statistics may stand still:`, foreign(told.leader), '. ',
    run('systemctl status tallymill-aggregator', 'tells whether it runs, on the host that it is named after.'));
  if (failed.length > 0) add('rollup', 'bad', `The rollup ${failed[0].rollup} fails:`, foreign(failed[0].error || 'its query failed'), `. ${failed.length > 1 ? `So do ${failed.length - 1} others. ` : ''}`,
    run('tallymill status', 'tells since when. Its table stays as it was: correct its file in rollups.dir, then tallymill migrate.'));
}

function ofViews({facts}, add) {
  for (const one of facts.views || [])
    add(`view ${one.view}`, 'bad', `The view ${one.view} could not be refreshed ${seconds(one.ago_s)} ago:`, foreign(one.error), `. Its figures are ${one.good_s === null ? 'old' : `of ${seconds(one.good_s)} ago`}. `, run('tallymill refresh', 'tries again, and says what stands in its way.'));
}

// Dead letters of five minutes, and of the last seconds, against all that came in that time: rows of five seconds, which the server never thins so near to now.
function isFlood(letters, rows) {
  const sum = name => letters.reduce((all, one) => all + one[name], 0), offsets = count => rows.slice(-count).reduce((all, row) => all + (row[1] || 0) * 5, 0);
  return (sum('latest') >= FLOOD && sum('latest') > offsets(4) / 10) || (sum('recent') >= FLOOD && sum('recent') > offsets(60) / 10);
}

function ofBooks({facts, rows}, add) {
  const {dead_letters: letters, room} = facts, gap = (facts.gaps || []).find(one => one.ago_s < 3600);
  if (gap) add('gap', 'bad', `${exact(gap.offsets)} offsets of topic partition ${gap.topic_partition} were gone from Kafka before they were read (${gap.reason}), ${seconds(gap.ago_s)} ago.`,
    'They cannot be read any more. Was a worker stopped for longer than the topic keeps its events? ', run('tallymill audit', 'lists every gap. A longer retention of the topic keeps it from happening again.'));
  if (letters && isFlood(letters, rows)) add('letters', 'bad', `${exact(letters.reduce((all, one) => all + one.recent, 0))} dead letters in five minutes: somebody sends what cannot be stored.`,
    'Most often: ', foreign(letters.slice().sort((one, other) => other.recent - one.recent)[0].reason), '. ', run('tallymill dlq', 'lists them with the bytes that came. They are kept: tallymill dlq replay sends them again after a fix.'));
  if (room && room.room !== 'roomy') add('disk', room.room === 'short' ? 'bad' : 'warn', `Postgres's disk has ${bytes(room.free_bytes)} of ${bytes(room.size_bytes)} free${room.days_left >= 0 ? `, which lasts for ${exact(room.days_left)} days` : ''}.`,
    'On a full disk nothing is stored. ', run('tallymill doctor', 'tells what fills it.'));
}

// The banners, the worst kinds of trouble first. Read out when another one is among them, and not with every second that one lasts.
export function alarms(seen, banner) {
  const found = [], titles = [];
  const add = (name, kind, title, ...more) => { found.push(banner(kind, title, ...more)); titles.push([name, title]); };
  for (const tell of [ofServers, ofWorkers, ofBooks, ofStatistics, ofViews]) tell(seen, add);
  const names = titles.map(([name]) => name).join(' ');
  if (names !== announced) announce(titles.map(([, title]) => title).join(' '));
  announced = names;
  return found;
}

export function verdict(facts, banner) {
  const {books} = facts, sum = {consumed: 0, stored: 0, duplicates: 0, dead_letters: 0, skipped: 0, gaps: 0};
  for (const one of books.totals) for (const name of Object.keys(sum)) sum[name] += one[name];
  const equation = `${many(sum.consumed, 'offset')} = ${exact(sum.stored)} stored + ${many(sum.duplicates, 'duplicate')} + ${many(sum.dead_letters, 'dead letter')} + ${exact(sum.skipped)} skipped + ${many(sum.gaps, 'gap')}`;
  const when = books.at ? ` · books checked ${seconds(Math.max(0, (facts.at - books.at) / 1000))} ago` : '';
  if (books.verdict === 'damaged')
    return banner('bad', 'The books do not hold.', el('ul', {}, books.damages.map(text => el('li', {}, foreign(text)))), el('p', {}, run('tallymill audit --deep', 'names every damage and its place'), when));
  if (books.verdict !== 'ok' && facts.postgres) return banner('warn', 'Not proven while Postgres is away.', 'What was stored is stored; the books are checked again when it answers.');
  if (books.verdict !== 'ok') return banner('warn', 'Not proven at the moment.', books.trouble ? foreign(books.trouble) : 'The books are being checked for the first time.');
  if (sum.consumed === 0) return banner('good', 'Nothing was stored yet.', 'The books are empty and hold.', when);
  const checked = [equation + when, ' · ', el('code', {}, 'tallymill audit'), ' counts the rows too'];
  if (sum.gaps > 0) return banner('warn', `${exact(sum.gaps)} offsets were gone from Kafka before they were read.`, 'Each other one is accounted for, once. ', checked);
  return banner('good', 'The ledger adds up: each offset is accounted for, once.', checked);
}
