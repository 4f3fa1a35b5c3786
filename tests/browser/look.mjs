// look.mjs - Chromium, as a request on stdin says: {address, views: [{name, path, width, height, scheme, full, wait, picture, axe, ahead, steps}]}. Answers on stdout with what each view
// showed and said: errors of the console, violations of the policy, hosts that were asked, how far it scrolls sideways, what axe-core finds, and the figures.
import {createRequire} from 'node:module';
import fs from 'node:fs';
import {chromium} from 'playwright-core';

const require = createRequire(import.meta.url), axe = fs.readFileSync(require.resolve('axe-core'), 'utf8');
const request = JSON.parse(fs.readFileSync(0, 'utf8'));
const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-proxy-server']});

async function open(view) {
  const context = await browser.newContext({viewport: {width: view.width || 1360, height: view.height || 900}, colorScheme: view.scheme || 'light', timezoneId: 'America/Los_Angeles', bypassCSP: false});
  const page = await context.newPage(), seen = {name: view.name, errors: [], violations: [], hosts: []};
  page.on('console', message => { if (message.type() === 'error' || message.type() === 'warning') seen.errors.push(message.text()); });
  page.on('pageerror', error => seen.errors.push(String(error)));
  page.on('request', made => { const {protocol, host} = new URL(made.url()); if (protocol !== 'data:' && protocol !== 'blob:') seen.hosts.push(host); });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', event => window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  if (view.ahead) await page.addInitScript(ms => { const now = Date.now; Date.now = () => now() + ms; }, view.ahead); // a clock that is wrong
  const began = Date.now();
  await page.goto(`http://${request.address}${view.path}`);
  await page.waitForSelector(view.wait || '.card, .banner, .note', {timeout: 20000});
  seen.first_ms = Date.now() - began;
  await settle(page);
  return {context, page, seen};
}

// Until nothing is asked and every chart has its canvas.
async function settle(page) {
  await page.waitForFunction(() => [...document.querySelectorAll('.chart')].every(box => box.querySelector('canvas')), null, {timeout: 20000});
  await page.waitForFunction(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true)))));
}

// What axe-core finds serious or worse.
async function judge(page, seen) {
  await page.evaluate(axe + ';0').catch(error => seen.errors.push('axe: ' + error));
  return page.evaluate(async () => (await window.axe.run(document, {resultTypes: ['violations']})).violations
    .filter(one => one.impact === 'serious' || one.impact === 'critical').map(one => `${one.id}: ${one.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + ' ' + (node.any[0]?.message || '')).join(' | ')}`));
}

async function look(view) {
  const {context, page, seen} = await open(view);
  seen.sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  seen.overflowing = await page.evaluate(() => [...document.querySelectorAll('.card')].filter(card => card.scrollWidth > card.clientWidth + 1).map(card => card.dataset.panel || card.getAttribute('aria-label')));
  seen.panels = await page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-panel]')].map(card => [card.dataset.panel, card.innerText])));
  seen.text = await page.evaluate(() => document.getElementById('content')?.innerText);
  seen.scripts = await page.evaluate(() => document.querySelectorAll('#content script, #content img, #content iframe').length + (window.ran ? 1 : 0));
  if (view.axe) seen.axe = await judge(page, seen);
  seen.violations = await page.evaluate(() => window.violations);
  if (view.picture) await page.screenshot({path: view.picture, fullPage: view.full !== false});
  seen.hosts = [...new Set(seen.hosts)];
  await context.close();
  return seen;
}

// What a hand does: each step is [what, ...]; the answer is what was read on the way.
async function walk(view) {
  const {context, page, seen} = await open(view);
  seen.read = [];
  for (const [what, ...how] of view.steps) {
    if (what === 'click') await page.click(how[0]);
    else if (what === 'key') await page.keyboard.press(how[0]);
    else if (what === 'focus') await page.focus(how[0]);
    else if (what === 'fill') await page.fill(how[0], how[1]);
    else if (what === 'forget') await context.clearCookies(); // as when the session is over
    else if (what === 'back') await page.goBack();
    else if (what === 'wait') await page.waitForSelector(how[0], {timeout: 20000});
    else if (what === 'select') await page.selectOption(how[0], how[1]);
    else if (what === 'drag') {
      const box = await page.locator(how[0]).boundingBox();
      await page.mouse.move(box.x + box.width * how[1], box.y + box.height / 2);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * how[2], box.y + box.height / 2, {steps: 8});
      await page.mouse.up();
    } else if (what === 'address') seen.read.push(new URL(page.url()).search);
    else if (what === 'read') seen.read.push(await page.locator(how[0]).first().innerText());
    else if (what === 'title') seen.read.push(await page.locator(how[0]).first().getAttribute('title'));
    else if (what === 'rows') seen.read.push(await page.locator(how[0]).evaluateAll(rows => rows.map(row => [...row.children].map(cell => cell.innerText.trim()))));
    else if (what === 'lines') seen.read.push(await page.locator(how[0]).first().evaluate(({chart: {plot}}) => plot.series.slice(1).map((one, at) => ({dash: one.dash || [], values: plot.data[at + 1]}))));
    else if (what === 'range') seen.read.push(await page.locator(how[0]).first().evaluate(({chart: {plot}}) => [plot.scales.x.min, plot.scales.x.max]));
    else if (what === 'axe') seen.read.push(await judge(page, seen));
    else if (what === 'focused') seen.read.push(await page.evaluate(() => { const one = document.activeElement; return `${one.closest('[data-panel], section[aria-label]')?.getAttribute('aria-label') || ''}|${one.getAttribute('aria-label') || one.textContent}`; }));
    else if (what === 'until') { // so many more times has the page been drawn anew
      await page.evaluate(count => new Promise(done => { new MutationObserver((_, one) => { if (--count <= 0) { one.disconnect(); done(); } }).observe(document.getElementById('top'), {subtree: true, childList: true, characterData: true}); }), how[0]);
    } else if (what === 'mark') fs.writeFileSync(how[0], 'here');
    else if (what === 'seen') { await page.waitForSelector(how[0], {timeout: how[1]}); seen.read.push(Date.now() / 1000); }
    else if (what === 'picture') await page.screenshot({path: how[0], fullPage: true});
    else throw new Error(what);
    if (!['address', 'read', 'title', 'rows', 'lines', 'range', 'focused', 'axe', 'mark', 'seen'].includes(what)) await settle(page).catch(() => {});
  }
  seen.violations = await page.evaluate(() => window.violations);
  await context.close();
  return seen;
}

const answers = [];
for (const view of request.views) answers.push(await (view.steps ? walk(view) : look(view)));
await browser.close();
process.stdout.write(JSON.stringify(answers));
