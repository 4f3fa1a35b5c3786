// chart.js - lines by uPlot (which draws nothing that a screen reader could read: each chart says itself in a sentence, and its table is a button away), and sparklines.
import {dayFull, dayName, dayOf, el, figure, NBSP} from './format.js';

const live = new Set();
export const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function forgetCharts() {
  for (const chart of live) { chart.observer.disconnect(); chart.plot.destroy(); }
  live.clear();
  document.getElementById('tip').hidden = true;
}

function showTip(plot, index, options) {
  const tip = document.getElementById('tip');
  // A quiet one goes on where the line before it ends, and speaks for it there.
  const rows = options.series.map((one, at) => ({one, value: one.quiet && plot.data[at][index] !== null ? null : plot.data[at + 1][index]})).filter(({value}) => value !== null && value !== undefined);
  if (index === null || index === undefined || rows.length === 0) { tip.hidden = true; return; }
  tip.replaceChildren(el('div', {class: 'tip-head'}, options.name(plot.data[0][index])),
    ...rows.map(({one, value}) => el('div', {class: 'tip-row'}, key(one), el('span', {}, one.label), el('b', {}, (one.format || options.format)(value)))));
  tip.hidden = false;
  const box = plot.over.getBoundingClientRect(), left = box.left + plot.valToPos(plot.data[0][index], 'x'), width = tip.offsetWidth;
  tip.style.left = Math.max(8, Math.min(window.innerWidth - width - 8, left + (left + width + 28 > window.innerWidth ? -width - 14 : 14))) + 'px';
  tip.style.top = Math.max(8, box.top + 12) + 'px';
}

export function key(one) {
  const mark = el('i', {class: 'key' + (one.dash ? ' dash' : '')});
  mark.style.setProperty('--key', color(one.color));
  return mark;
}

export const legend = series => el('div', {class: 'legend'}, series.filter(one => !one.quiet).map(one => el('span', {}, key(one), one.label)));

function zonesHook(zones) {
  return plot => {
    const {left, top, width, height} = plot.bbox;
    plot.ctx.save();
    plot.ctx.beginPath();
    plot.ctx.rect(left, top, width, height);
    plot.ctx.clip();
    for (const zone of zones) {
      const from = plot.valToPos(zone.from === null ? plot.scales.y.min : zone.from, 'y', true), to = plot.valToPos(zone.to === null ? plot.scales.y.max : zone.to, 'y', true);
      plot.ctx.fillStyle = color(zone.color);
      plot.ctx.fillRect(left, Math.min(from, to), width, Math.abs(from - to));
    }
    plot.ctx.restore();
  };
}

// Steps of an axis: of days (uPlot takes 30 of them as a month), of times, of hours by their number, and of what there are no halves of.
const DAYS = [1, 2, 3, 7, 14, 30, 60, 90, 180, 365].map(days => days * 86400), TIMES = [5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400];
const HOURS = [1, 2, 3, 4, 6, 12], WHOLE = Array.from({length: 48}, (_, at) => [1, 2, 5][at % 3] * 10 ** Math.floor(at / 3));

// A point without a neighbour is no line: it is drawn as a point.
function alone(plot, at) {
  const values = plot.data[at], isHole = index => values[index] === null || values[index] === undefined;
  const found = [...values.keys()].filter(index => !isHole(index) && isHole(index - 1) && isHole(index + 1));
  return found.length > 0 ? found : null;
}

// The names along the bottom. The last stands at the edge of the plot, where its second half would be cut off: it is drawn by hand, as far to the right as it goes.
function bottomNames(names) {
  let last = null;
  const values = (plot, splits, ...rest) => {
    const texts = names(plot, splits, ...rest), at = texts.length - 1;
    last = at >= 0 ? {text: texts[at], x: splits[at], before: at > 0 ? {text: texts[at - 1], x: splits[at - 1]} : null} : null;
    return texts.map((text, index) => index === at ? '' : text);
  };
  const draw = plot => {
    if (!last || !last.text) return;
    const {ctx, bbox} = plot, axis = plot.axes[0];
    ctx.save();
    ctx.font = axis.font[0];
    ctx.fillStyle = color('--soft');
    ctx.textAlign = 'center';
    ctx.textBaseline = 'top';
    const halfOf = text => ctx.measureText(text).width / 2, half = halfOf(last.text), x = Math.min(plot.valToPos(last.x, 'x', true), ctx.canvas.width - half);
    const isFree = !last.before || plot.valToPos(last.before.x, 'x', true) + halfOf(last.before.text) + 6 * devicePixelRatio < x - half;
    if (isFree) ctx.fillText(last.text, x, bbox.top + bbox.height + Math.round(axis.gap * devicePixelRatio));
    ctx.restore();
  };
  return {values, draw};
}

const setBlank = (box, series) => box.toggleAttribute('data-blank', series.every(values => values.every(value => value === null || value === undefined)));

// options: x (seconds), series [{label, color, values, fill, dash, dots, width, quiet, format}], format, axis (of a value at the side), name (of an x), says (a sentence), height, zones, floor, most,
// isWhole (there are no halves), days (an x is a day) or plainX (an hour), zoom(first x, last x)
export function lines(options) {
  const box = el('div', {class: 'chart', role: 'img', tabindex: 0, 'aria-label': options.says});
  box.style.flex = `1 0 ${options.height}px`;
  const font = '11px ' + getComputedStyle(document.body).fontFamily, bottom = bottomNames(options.xValues || timeNames);
  setBlank(box, options.series.map(one => one.values));
  const build = () => {
    const grid = {stroke: color('--grid'), width: 1}, soft = color('--soft');
    return new uPlot({
      ...sizeOf(box), padding: [10, 4, 0, 0], legend: {show: false},
      tzDate: at => uPlot.tzDate(new Date(at * 1000), 'Etc/UTC'),
      scales: {x: {time: !options.plainX, range: options.xRange || ((plot, low, high) => options.x.length === 1 && options.days ? [low - 43200, low + 43200] : [low, high])}, y: {range: (plot, low, high) => yRange(low, high, options)}},
      axes: [
        {stroke: soft, font, grid: {show: false}, ticks: {show: false}, size: 26, gap: 6, space: options.days ? 50 : 60, incrs: options.days ? DAYS : options.plainX ? HOURS : TIMES, values: bottom.values},
        {stroke: soft, font, grid, ticks: {show: false}, size: (plot, values) => axisSize(plot, values), gap: 8, space: options.height < 180 ? 20 : 34, incrs: options.isWhole ? WHOLE : undefined,
         values: (plot, values) => values.map(value => options.axis ? options.axis(value) : options.format(value))},
      ],
      cursor: {drag: {x: !!options.zoom, y: false, setScale: false}, points: {size: 7}, y: false},
      series: [{}, ...options.series.map(one => ({
        stroke: color(one.color), width: one.width || 2, dash: one.dots ? [2, 3] : one.dash ? [5, 4] : undefined,
        fill: one.fill ? color(one.fill) : undefined, points: {show: false, filter: alone, size: 6, fill: color(one.color)}, spanGaps: false,
      }))],
      hooks: {
        drawAxes: [bottom.draw, ...(options.zones ? [zonesHook(options.zones)] : [])],
        setCursor: [plot => showTip(plot, plot.cursor.idx, options)],
        setSelect: [plot => {
          if (!options.zoom || plot.select.width < 6) return;
          const first = plot.posToVal(plot.select.left, 'x'), last = plot.posToVal(plot.select.left + plot.select.width, 'x');
          plot.setSelect({left: 0, width: 0, top: 0, height: 0}, false);
          options.zoom(first, last);
        }],
      },
    }, box.data || [options.x, ...options.series.map(one => one.values)], box);
  };
  requestAnimationFrame(() => {
    if (!box.isConnected) return;
    const chart = {plot: build(), observer: new ResizeObserver(() => chart.plot.setSize(sizeOf(box)))};
    chart.observer.observe(box);
    live.add(chart);
    keys(box, chart, options);
    box.chart = chart;
  });
  return box;
}

const sizeOf = box => ({width: Math.max(60, box.clientWidth), height: Math.max(60, box.clientHeight)});

// Days by their names; a time of day where they lie closer.
const timeNames = (plot, values, axis, space, step) => values.map(at => step >= 86400 ? dayName(dayOf(at)) : new Date(at * 1000).toISOString().slice(11, step < 60 ? 19 : 16));

function axisSize(plot, values) {
  if (!values) return 40;
  plot.ctx.save();
  plot.ctx.font = plot.axes[1].font[0];
  const widest = Math.max(...values.map(value => plot.ctx.measureText(value || '').width));
  plot.ctx.restore();
  return Math.ceil(widest / devicePixelRatio) + 14;
}

function yRange(low, high, options) {
  if (low === null || high === null || low === undefined) return [0, options.least || 1];
  const floor = options.floor === undefined ? Math.min(0, low) : options.floor;
  if (options.most !== undefined) return [floor, options.most];
  const top = Math.max(high, options.reach || 0);
  return [floor, top === floor ? floor + (options.least || 1) : floor + (top - floor) * 1.08];
}

// Arrow keys move the cursor of a chart that has the focus.
function keys(box, chart, options) {
  const place = index => {
    const {plot} = chart;
    plot.setCursor({left: plot.valToPos(plot.data[0][index], 'x'), top: 10});
  };
  box.addEventListener('keydown', event => {
    const last = options.x.length - 1, at = chart.plot.cursor.idx;
    const to = {ArrowLeft: at === null ? last : at - 1, ArrowRight: at === null ? 0 : at + 1, Home: 0, End: last}[event.key];
    if (event.key === 'Escape') chart.plot.setCursor({left: -10, top: -10});
    if (to === undefined) return;
    event.preventDefault();
    place(Math.max(0, Math.min(last, to)));
  });
  box.addEventListener('blur', () => { document.getElementById('tip').hidden = true; });
  box.addEventListener('mouseleave', () => { document.getElementById('tip').hidden = true; });
}

export function replaceData(box, data) {
  setBlank(box, data.slice(1));
  box.data = data; // for a chart that is not drawn yet
  if (box.chart) box.chart.plot.setData(data);
}

// A line without axes, with the compared one behind it.
export function sparkline(values, before) {
  const all = [...values, ...(before || [])].filter(value => value !== null);
  const svg = el('svg', {class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true'});
  if (all.length < 2) return svg;
  const top = Math.max(...all), floor = Math.min(0, ...all);
  const x = (index, count) => count < 2 ? 50 : 100 * index / (count - 1), y = value => 22.5 - 20 * (top === floor ? 0 : (value - floor) / (top - floor));
  const trace = series => {
    let pen = 'M';
    return series.map((value, index) => {
      if (value === null) return '';
      const point = `${pen}${x(index, series.length).toFixed(2)} ${y(value).toFixed(2)}`;
      pen = 'L';
      return point;
    }).join('');
  };
  if (before) svg.append(el('path', {class: 'before', d: trace(before)}));
  const first = values.findIndex(value => value !== null), last = values.length - 1;
  if (first >= 0 && !values.slice(first).includes(null))
    svg.append(el('path', {class: 'area', d: `${trace(values)}L${x(last, values.length)} 24L${x(first, values.length)} 24Z`}));
  svg.append(el('path', {class: 'line', d: trace(values)}));
  return svg;
}

export const bucketName = grain => at => grain === 'month' ? dayFull(dayOf(at)).replace(/^\w+, (\w+) \d+,/, '$1') : (grain === 'week' ? 'week from ' : '') + dayFull(dayOf(at));
export const figureOf = unit => value => figure(value, unit);
// At the side of a chart: no decimals that are all zero.
export const sideOf = unit => unit === 'share' ? value => Number((100 * value).toFixed(2)) + NBSP + '%' : figureOf(unit);
