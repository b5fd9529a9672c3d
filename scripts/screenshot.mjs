/**
 * Takes the README's picture of the demo's page, after its buttons were pushed in a real browser.
 *
 *   npm run demo                                    in one terminal; it prints where the page is
 *   node scripts/screenshot.mjs <url> <file.png>    in another; CHROMIUM names the browser, /usr/bin/chromium by default
 */
/* global document */
import puppeteer from 'puppeteer-core';

const [url, file] = process.argv.slice(2);
if (!url || !file) throw new Error('usage: node scripts/screenshot.mjs <url> <file.png>');

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
try {
  const page = await browser.newPage();
  const broken = [];
  page.on('pageerror', (error) => broken.push(error.message));
  await page.setViewport({ width: 1_000, height: 900, deviceScaleFactor: 2 });
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  await shows('#instances li', /pid \d+/);
  await push('requests', /100 of 100 answered/);
  await push('orders', /1000 of 1000 orders accepted/);
  await shows('#completed', /^1,\d{3}$/);
  await shows('#queued', /^0$/);
  await push('kill', /got SIGKILL/);
  await shows('#instances li.down', /is down/);
  await page.screenshot({ path: file, fullPage: true });
  if (broken.length > 0) throw new Error(`the page is broken: ${broken.join('; ')}`);
  console.log(`✓ ${file}`);

  async function push(button, says) {
    await page.click(`[data-do=${button}]`);
    await shows('#said', says);
  }

  async function shows(selector, text) {
    await page.waitForFunction(
      (where, pattern) => new RegExp(pattern).test(document.querySelector(where)?.textContent ?? ''),
      { timeout: 60_000 },
      selector,
      text.source,
    );
  }
} finally {
  await browser.close();
}
