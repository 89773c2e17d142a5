// The same Function by somebody who minds: connections to the sources are kept, the bytes of an answer are kept,
// calls of one number share one lookup, timers are cleared, a partial answer is not kept.
import http from 'node:http';
import { SOURCES, attributes, consolidate, phoneOf } from './person.mjs';

const FRESH_MS = 300_000;
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity, scheduling: 'lifo' });
const cache = new Map();
const flights = new Map();

function get(url, timeout) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent, timeout }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve(JSON.parse(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))));
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', reject);
  });
}

async function lookUp(phone) {
  const encoded = encodeURIComponent(phone);
  const asked = SOURCES.map(([name, ms]) => get(`http://${process.env.CROWD}/${name}?phone=${encoded}`, ms));
  const data = consolidate(await Promise.allSettled(asked));
  const bytes = Buffer.from(JSON.stringify(attributes(data)));
  if (data.lookup_status === 'complete') cache.set(phone, { bytes, until: Date.now() + FRESH_MS });
  flights.delete(phone);
  return bytes;
}

function join(phone) {
  const flight = flights.get(phone) ?? lookUp(phone);
  flights.set(phone, flight);
  return flight;
}

function answer(response, bytes) {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': bytes.length });
  response.end(bytes);
}

const server = http.createServer((request, response) => {
  const phone = phoneOf(request.url, request.headers.authorization);
  if (phone === undefined) {
    response.writeHead(401, { 'Content-Length': 0 });
    response.end();
    return;
  }
  const kept = cache.get(phone);
  if (kept && Date.now() < kept.until) answer(response, kept.bytes);
  else join(phone).then((bytes) => answer(response, bytes));
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT), '127.0.0.1');
