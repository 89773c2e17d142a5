// How many calls of many go to the gateway. Standard input: {"percent": ..., "sids": [...]}. Standard
// output: the sids that do.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { share } = createRequire(import.meta.url)('../../examples/function/side-by-side.js');
const { percent, sids } = JSON.parse(readFileSync(0, 'utf8'));
const context = { CALLER_CONTEXT_PERCENT: percent };
console.log(JSON.stringify(sids.filter((CallSid) => share(context, { CallSid }))));
