// A producer in another language, written from schemas/wire.md alone: kafkajs and @msgpack/msgpack, nothing of ours.
//
//   node publish.mjs BOOTSTRAP TOPIC
//
// Publishes one event of each kind that JavaScript makes interesting, and prints for each, once Kafka has
// acknowledged it, a JSON line: what (a label for the test), id, created_at in microseconds, topic partition, offset.

import {randomBytes} from 'node:crypto';
import {encode} from '@msgpack/msgpack';
import {Kafka, logLevel} from 'kafkajs';

const [bootstrap, topic] = process.argv.slice(2);
if (!topic) {
  console.error('usage: node publish.mjs BOOTSTRAP TOPIC');
  process.exit(2);
}

// RFC 9562, version 7: 48 bits of milliseconds, then random bits around version and variant.
function uuidV7(now) {
  const id = randomBytes(16);
  id.writeUIntBE(now, 0, 6);
  id[6] = 0x70 | (id[6] & 0x0f);
  id[8] = 0x80 | (id[8] & 0x3f);
  return id;
}

function uuidText(id) {
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const now = Date.now();
const moment = new Date('2026-01-15T09:30:00.250Z');

const events = {
  plain: {event_name: 'login', session_id: 's-42', user_id: 1001, created_at: now * 1000, event_data: {method: 'github'}},
  date: {event_name: 'login', session_id: '21', created_at: new Date(now)},
  // Events that hold a BigInt are encoded with useBigInt64: every large number in them must then be one.
  bigint: {event_name: 'doc_generation', user_id: 9007199254740993n, created_at: BigInt(now) * 1000n,
    event_data: {success: true, big: 2n ** 64n - 1n, least: -(2n ** 63n)}},
  numbers: {event_name: 'performance', created_at: now * 1000,
    event_data: {whole: 1.0, third: 1 / 3, tenth: 0.1, large: 1e21, power: 2 ** 53, safe: 2 ** 53 - 1, tiny: 5e-324, negative: -7}},
  nested: {event_name: 'code_input', session_id: 'ünï-çødé-😀', created_at: now * 1000, is_internal: true, event_category: 'workflow',
    event_data: {origin: 'paste', at: moment, bytes: new Uint8Array([0, 255, 16]), list: [1, 'a', null, {deep: [true, false]}]}},
  absent: {event_name: 'session_start', session_id: null, user_id: undefined, event_data: undefined, created_at: now * 1000, v: 1},
  text_id: {event_name: 'signup', id: uuidText(uuidV7(now)), created_at: now * 1000, trace: {unknown: 'key'}},
  refused_time: {event_name: 'login', user_id: 7n, created_at: now * 1000},
  refused_nan: {event_name: 'performance', created_at: now * 1000, event_data: {latency: NaN}},
  refused_half_a_pair: {event_name: 'error', created_at: now * 1000, event_data: {error_message: '\ud83d'}},
};

const kafka = new Kafka({clientId: 'foreign', brokers: [bootstrap], logLevel: logLevel.ERROR});
const producer = kafka.producer({idempotent: true, maxInFlightRequests: 1});
await producer.connect();
for (const [what, event] of Object.entries(events)) {
  const whole = {id: uuidV7(now), ...event};
  const id = typeof whole.id === 'string' ? whole.id : uuidText(whole.id);
  const key = whole.session_id ?? id;
  const useBigInt64 = Object.values(whole).some((field) => typeof field === 'bigint');
  const value = Buffer.from(encode(whole, {useBigInt64}));
  const [sent] = await producer.send({topic, acks: -1, messages: [{key, value}]});
  const createdAt = whole.created_at instanceof Date ? whole.created_at.getTime() * 1000 : Number(whole.created_at);
  console.log(JSON.stringify({what, id, key, created_us: createdAt, topic_partition: sent.partition, offset: Number(sent.baseOffset)}));
}
await producer.disconnect();
