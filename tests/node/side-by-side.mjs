// Runs a Function that goes side by side with the gateway, as Twilio does: the invocation ends with
// its callback, whatever is still under way. Standard input: {"context": ..., "event": ...,
// "attributes": ..., "connected": ...}; with `connected` the Function's own lookup takes until the
// connection is there. Standard output: what it called back with.
import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';

const sideBySide = createRequire(import.meta.url)('../../examples/function/side-by-side.js');
const { context, event, attributes, connected } = JSON.parse(readFileSync(0, 'utf8'));

let connection;
subscribe('net.client.socket', ({ socket }) => { connection = once(socket, 'connect'); });

async function lookUp() {
  if (connected) await connection;
  return attributes;
}

const handler = async (context, event, callback) => {
  const answered = sideBySide.begin(context, event);
  const attributes = await lookUp(event?.From);
  answered(attributes);
  return callback(null, attributes);
};

// A Function that never calls back is a failure, not a test that never ends.
setTimeout(() => process.exit(9), 20_000).unref();
await handler(context, event, (error, answer) => {
  writeSync(1, JSON.stringify({ error, answer }));
  process.exit(0);
});
