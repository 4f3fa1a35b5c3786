// format.js - elements, numbers, days. Whatever came from an event enters the page here, as text and never as markup.

// el('div', {class: 'x', title: text}, child, ...): children are texts or elements; null and false are left out. on*: a listener.
export function el(tag, attributes, ...children) {
  const made = tag === 'svg' || svgTags.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== false) made.append(child);
  return made;
}
const svgTags = new Set(['path', 'g', 'line', 'rect']);

// Puts `nodes` in the place of what stands there, and leaves alone what is the same: what has the focus keeps it, and nothing is read out twice.
export function renew(place, nodes) {
  const wanted = nodes.filter(Boolean), old = [...place.children];
  wanted.forEach((node, at) => { if (!old[at]) place.append(node); else if (!old[at].isEqualNode(node)) old[at].replaceWith(node); });
  for (const gone of old.slice(wanted.length)) gone.remove();
}

// Who has the focus in `place`: a function that gives it back, to the element in the same place of the card with the same name where the page was drawn anew meanwhile.
const FOCUSED = 'a[href], button, select, input, [tabindex]', CARD = '[data-panel], section[aria-label]';
export function rememberFocus(place) {
  const active = document.activeElement, card = active && place.contains(active) ? active.closest(CARD) : null;
  const nameOf = one => one.dataset.panel || one.getAttribute('aria-label'), all = one => [one, ...one.querySelectorAll(FOCUSED)];
  const name = card && nameOf(card), at = card ? all(card).indexOf(active) : -1;
  return () => {
    if (at < 0 || (active.isConnected && document.activeElement === active)) return;
    const found = [...place.querySelectorAll(CARD)].find(one => nameOf(one) === name);
    if (active.isConnected) active.focus({preventScroll: true});
    else if (found) all(found)[Math.min(at, all(found).length - 1)].focus({preventScroll: true});
  };
}

export function keepFocus(place, work) {
  const giveBack = rememberFocus(place);
  work();
  giveBack();
}

// Read out by a screen reader, once: what it was told last is not told again.
export function announce(text) {
  const place = document.getElementById('says');
  if (place.textContent !== text) place.textContent = text;
}

// A text of somebody else's: isolated, so that its direction turns nothing around, and whole in the title.
export const foreign = text => el('bdi', {class: 'foreign', title: String(text)}, String(text));

const whole = new Intl.NumberFormat('en-US', {maximumFractionDigits: 0});
const two = new Intl.NumberFormat('en-US', {maximumFractionDigits: 2});
export const NBSP = '\u202f';

function short(value) {
  const size = Math.abs(value);
  if (size < 10000) return Number.isInteger(value) || size >= 100 ? whole.format(value) : two.format(value);
  const steps = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
  const [step, unit] = steps.find(([from]) => size >= from * 0.99995) || steps[3];
  return (value / step).toFixed(1) + NBSP + unit;
}

export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return 'unknown';
  if (value < 10) return value.toFixed(1) + NBSP + 's';
  if (value < 120) return Math.round(value) + NBSP + 's';
  if (value < 7200) return Math.round(value / 60) + NBSP + 'min';
  if (value < 172800) return Math.round(value / 3600) + NBSP + 'h';
  return Math.round(value / 86400) + NBSP + 'days';
}

export function bytes(value) {
  if (value === null || value === undefined) return 'unknown';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) { value /= 1024; at++; }
  return (at === 0 || value >= 100 ? whole.format(value) : value.toFixed(1)) + NBSP + units[at];
}

// A figure as it stands on the page; exact(): every digit, for titles and tables.
export function figure(value, unit) {
  if (value === null || value === undefined) return '–';
  switch (unit) {
    case 'share': return (100 * value).toFixed(1) + NBSP + '%';
    case 'ms': return Math.abs(value) < 1000 ? whole.format(value) + NBSP + 'ms' : two.format(value / 1000) + NBSP + 's';
    case 'money': return '$' + NBSP + short(value);
    case 'bytes': return bytes(value);
    case 'seconds': return seconds(value);
    case 'rate': return Math.abs(value) >= 10 ? short(Math.round(value)) : two.format(value);
    default: return short(value);
  }
}
export function exact(value, unit) {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'number') return String(value);
  if (unit === 'share') return (100 * value).toFixed(2) + NBSP + '%';
  const text = new Intl.NumberFormat('en-US', {maximumFractionDigits: 6}).format(value);
  return unit === 'ms' ? text + NBSP + 'ms' : unit === 'money' ? '$' + NBSP + text : text;
}

// A share in whole percents; what is there, but less than half a percent, is not called nothing.
export const percent = share => (share > 0 && share < 0.005 ? '<1' : Math.round(100 * share)) + NBSP + '%';

// "1 event", "2 events".
export const many = (count, what, shown = exact) => `${shown(count)} ${what}${count === 1 ? '' : 's'}`;

// What a server said of why it cannot be reached, without what the page says beside it.
export const reason = text => String(text).replace(/^cannot connect to Postgres: /, '').replace(/\s*Is the server running .*$/s, '').replace(/[.\s]+$/, '');

// By its name a column of a table says what its figures are.
export function unitOf(column) {
  if (/share|rate$/.test(column)) return 'share';
  if (/ ms$|^to ms/.test(column)) return 'ms';
  if (/revenue|amount/.test(column)) return 'money';
  return 'count';
}

// ---- days: UTC, as "2026-11-24" and as seconds ----

export const secondsOf = day => Date.parse(day + 'T00:00:00Z') / 1000;
export const dayOf = at => new Date(at * 1000).toISOString().slice(0, 10);
// Whether a text, such as one of the address, is a day that there is: not "2026-02-30", which a browser may take for one of March.
export const isDay = text => !Number.isNaN(secondsOf(text)) && dayOf(secondsOf(text)) === text;
const named = new Intl.DateTimeFormat('en-US', {month: 'short', day: 'numeric', timeZone: 'UTC'});
const yeared = new Intl.DateTimeFormat('en-US', {month: 'short', day: 'numeric', year: 'numeric', timeZone: 'UTC'});
const full = new Intl.DateTimeFormat('en-US', {weekday: 'short', month: 'short', day: 'numeric', year: 'numeric', timeZone: 'UTC'});
export const dayName = day => named.format(new Date(secondsOf(day) * 1000));
export const dayFull = day => full.format(new Date(secondsOf(day) * 1000));
const withYear = day => yeared.format(new Date(secondsOf(day) * 1000)), isThisYear = day => day.slice(0, 4) === new Date().toISOString().slice(0, 4);
// "Nov 15 – 21", "Oct 25 – Nov 21"; with the years where it is not this one.
export function span(first, last) {
  const dated = isThisYear(first) && isThisYear(last) ? dayName : withYear;
  if (first === last) return dated(first);
  if (first.slice(0, 4) !== last.slice(0, 4)) return `${withYear(first)} – ${withYear(last)}`;
  return `${dayName(first)} – ${first.slice(0, 7) === last.slice(0, 7) ? dated(last).replace(/^\w+ /, '') : dated(last)}`;
}
export const clock = at => new Date(at).toISOString().slice(11, 16);

export function nextBucket(day, grain) {
  const at = new Date(secondsOf(day) * 1000);
  if (grain === 'month') at.setUTCMonth(at.getUTCMonth() + 1, 1);
  else at.setUTCDate(at.getUTCDate() + (grain === 'week' ? 7 : 1));
  return at.toISOString().slice(0, 10);
}

export const dayLater = (day, days) => dayOf(secondsOf(day) + days * 86400);

// The buckets from first to last, as the queries name them: the day on which each begins; of the first week or month perhaps one before the range.
export function buckets(first, last, grain) {
  const at = new Date(secondsOf(first) * 1000);
  if (grain === 'week') at.setUTCDate(at.getUTCDate() - (at.getUTCDay() + 6) % 7);
  if (grain === 'month') at.setUTCDate(1);
  const found = [];
  for (let day = at.toISOString().slice(0, 10); day <= last && found.length < 5000; day = nextBucket(day, grain)) found.push(day);
  return found;
}
