// Reads /docs as people do: wide and narrow, by day and by night. Standard input: {"url": ...,
// "screenshots": folder or null}. Standard output: what was seen, and what was not wanted: lines of
// the console, failed requests, requests to other hosts.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const { url, screenshots } = JSON.parse(readFileSync(0, 'utf8'));
const origin = new URL(url).origin;
let watching = true; // until the page is attacked, which it says in the console
const seen = { console: [], failed: [], elsewhere: [], files: [], pages: [] };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
for (const [name, width, colorScheme] of [['wide', 1280, 'light'], ['phone', 390, 'dark']]) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  page.on('console', (message) => watching && seen.console.push(message.text()));
  page.on('pageerror', (error) => seen.console.push(String(error)));
  page.on('requestfailed', (request) => watching && seen.failed.push(request.url()));
  page.on('request', (request) => {
    if (watching && new URL(request.url()).origin !== origin) seen.elsewhere.push(request.url());
  });
  page.on('response', (response) => {
    if (response.status() !== 200) seen.failed.push(`${response.status()} ${response.url()}`);
    if (name === 'wide') seen.files.push(new URL(response.url()).pathname);
  });
  await page.goto(`${url}/docs`, { waitUntil: 'networkidle' });
  seen.pages.push({
    name,
    title: await page.title(),
    language: await page.getAttribute('html', 'lang'),
    operations: await page.$$eval('main article h3', (titles) => titles
      .filter((title) => title.querySelector('.method') && title.checkVisibility())
      .map((title) => `${title.querySelector('.method').textContent} ${title.querySelector('.path').textContent}`)),
    ground: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
    // a page that must be pushed aside is not made for a phone
    overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
    // links that lead nowhere
    dangling: await page.$$eval('a[href^="#"]', (links) => links
      .map((link) => link.getAttribute('href'))
      .filter((href) => !document.getElementById(decodeURIComponent(href.slice(1))))),
    repeated: await page.$$eval('[id]', (all) => all.map((e) => e.id).filter((id, n, ids) => ids.indexOf(id) !== n)),
    headings: await page.$$eval('h1, h2, h3, h4', (all) => all.map((heading) => Number(heading.tagName[1]))),
    scripts: await page.$$eval('script, [onclick], [style]', (all) => all.length),
  });
  // by keyboard: the first thing reached leads past the list of operations
  await page.keyboard.press('Tab');
  seen.pages.at(-1).first = await page.evaluate(() => document.activeElement.getAttribute('href'));
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.hash !== '');
  seen.pages.at(-1).jumped = new URL(page.url()).hash;
  if (screenshots) {
    await page.screenshot({ path: `${screenshots}/${name}-top.png` });
    await page.locator('#context').scrollIntoViewIfNeeded();
    await page.evaluate(() => document.getElementById('context').scrollIntoView());
    await page.screenshot({ path: `${screenshots}/${name}-operation.png` });
    await page.evaluate(() => document.getElementById('schemas').scrollIntoView());
    await page.screenshot({ path: `${screenshots}/${name}-schemas.png` });
  }
  // nothing that stands in the page may run or load what is not ours
  watching = false;
  const injected = await page.evaluate(async () => {
    const outcome = {};
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.head.append(script);
    outcome.inline = window.ran === true;
    outcome.elsewhere = await new Promise((done) => {
      const image = new Image();
      image.onload = () => done('loaded');
      image.onerror = () => done('refused');
      image.src = 'http://127.0.0.1:9/x.png';
    });
    return outcome;
  });
  seen.pages.at(-1).injected = injected;
  await context.close();
  watching = true;
}

// in a frame there is nothing to see
const context = await browser.newContext();
const page = await context.newPage();
await page.route('http://framing.example/', (route) => route.fulfill({
  contentType: 'text/html', body: `<iframe src="${url}/docs"></iframe>`,
}));
await page.goto('http://framing.example/');
await page.waitForTimeout(0);
seen.framed = page.frames().filter((frame) => frame.url().startsWith(origin)).length;
await browser.close();
console.log(JSON.stringify(seen));
