// The published Function, as a server: a cache in an object, three lookups in parallel, each raced against its
// timeout, settled, consolidated, and written as JSON for every answer. No single flight.
import http from 'node:http';
import { SOURCES, attributes, consolidate, phoneOf } from './person.mjs';

const FRESH_MS = 300_000;
const cache = {};

function get(url) {
  return new Promise((resolve, reject) => {
    http.get(url, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve(JSON.parse(body)));
    }).on('error', reject);
  });
}

function withTimeout(promise, ms) {
  const timeout = new Promise((_, reject) => setTimeout(() => reject(new Error('timeout')), ms));
  return Promise.race([promise, timeout]);
}

async function lookUp(phone) {
  const kept = cache[`caller:${phone}`];
  if (kept && Date.now() - kept.timestamp < FRESH_MS) return kept.data;
  const asked = SOURCES.map(([name, ms]) =>
    withTimeout(get(`http://${process.env.CROWD}/${name}?phone=${encodeURIComponent(phone)}`), ms));
  const data = consolidate(await Promise.allSettled(asked));
  cache[`caller:${phone}`] = { data, timestamp: Date.now() };
  return data;
}

const server = http.createServer(async (request, response) => {
  const phone = phoneOf(request.url, request.headers.authorization);
  if (phone === undefined) {
    response.statusCode = 401;
    response.end();
    return;
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(attributes(await lookUp(phone))));
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT), '127.0.0.1');
