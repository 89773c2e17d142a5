// Runs the Function as Twilio does. Standard input: {"context": ..., "event": ...}. Standard
// output: {"error": ..., "answer": ...}, what it called back with.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { handler } = createRequire(import.meta.url)('../../examples/function/caller-context.js');
const { context, event } = JSON.parse(readFileSync(0, 'utf8'));

// A Function that never calls back is a failure, not a test that never ends.
const late = setTimeout(() => process.exit(9), 20_000);
await handler(context, event, (error, answer) => {
  clearTimeout(late);
  console.log(JSON.stringify({ error, answer }));
});
