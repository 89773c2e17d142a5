'use strict';

// Side by side: an existing Function goes on answering its callers, and tells the caller-context
// gateway what it answered. The gateway looks the same caller up, silently, and counts per field
// where the two differ. Three lines in the Function, marked below:
//
//   const sideBySide = require(Runtime.getFunctions()['side-by-side'].path);      // 1
//
//   exports.handler = async (context, event, callback) => {
//     const answered = sideBySide.begin(context, event);                          // 2
//     const attributes = await lookUp(event.From); // what the Function has always done
//     answered(attributes);                                                       // 3
//     return callback(null, attributes);
//   };
//
// Nothing here is waited for, and nothing here throws. An invocation ends with its callback, and
// what is still to be sent then may never leave. So the connection is made while the Function looks
// its caller up, and the answer goes out on it at once. Where the Function was quicker than the
// connection, or the gateway is away, that one comparison is missing; the call notices nothing.
//
// Environment variables of the Functions service, as for caller-context.js:
//   CALLER_CONTEXT_URL      https://gateway.example.com
//   CALLER_CONTEXT_API_KEY  a key of the gateway, made with `caller-context keys new --view studio`
//   CALLER_CONTEXT_PERCENT  later: how many of a hundred calls the gateway answers (docs/moving.md)

const http = require('node:http');
const https = require('node:https');

// What the gateway judges the call by. Names of your own request inputs (service_type ...) belong
// here, too.
const PARAMETERS = [
  'From', 'To', 'Direction', 'CallSid', 'AccountSid', 'FlowSid', 'StirVerstat', 'ForwardedFrom',
];

// A connection that is still there after this is given up.
const TIMEOUT_MS = 9000;

exports.begin = function begin(context, event) {
  const started = Date.now();
  let request;
  try {
    request = connect(context || {});
  } catch (error) {
    complain(error);
  }
  return function answered(attributes) {
    if (!request) return;
    try {
      const call = event || {};
      const said = { answer: attributes, took_ms: Date.now() - started };
      for (const name of PARAMETERS) {
        if (typeof call[name] === 'string') said[name] = call[name];
      }
      request.end(JSON.stringify(said));
    } catch (error) {
      request.destroy();
      complain(error);
    }
    request = undefined;
  };
};

// Whether the gateway is to answer this call, in the move's fourth step: true for the share of calls
// that CALLER_CONTEXT_PERCENT says (0 to 100), by the call's sid, so that a call stays on its side.
exports.share = function share(context, event) {
  const percent = Number(context?.CALLER_CONTEXT_PERCENT) || 0;
  const place = Number.parseInt(/[0-9a-f]{4}$/i.exec(event?.CallSid), 16) / 65536;
  return percent >= 100 || place * 100 < percent;
};

function connect(context) {
  const url = new URL('/api/studio/compare', context.CALLER_CONTEXT_URL);
  const request = (url.protocol === 'https:' ? https : http).request(url, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${context.CALLER_CONTEXT_API_KEY}`,
      'Content-Type': 'application/json',
    },
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  request.on('error', complain);
  // Redirects are not followed: the key goes nowhere else.
  request.on('response', (response) => {
    response.resume();
    if (response.statusCode !== 202) complain({ name: `HTTP ${response.statusCode}` });
  });
  // Where a runtime waits for all that is open, it must not wait for this.
  request.on('socket', (socket) => socket.unref());
  return request;
}

// Names of errors only: their messages may quote what was sent, and with it a person.
function complain(error) {
  console.error('side by side:', String(error?.code || error?.name || 'failed'));
}
