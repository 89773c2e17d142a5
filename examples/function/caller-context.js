'use strict';

// A Twilio Function that asks the caller-context gateway who calls, and answers with the flat
// attributes that the gateway published, for a Studio "Run Function" widget. It never fails: when
// the gateway cannot be reached, refuses, or answers nonsense, the answer is the minimal one with
// lookup_status "failed", and the call goes on.
//
// Environment variables of the Functions service:
//   CALLER_CONTEXT_URL          https://gateway.example.com
//   CALLER_CONTEXT_API_KEY      an API key of the gateway
//   CALLER_CONTEXT_DEADLINE_MS  optional: how long the gateway may take (50 to 7500, default 2500)

// What is passed on of the call. Names of your own request inputs (service_type ...) belong here.
const PARAMETERS = [
  'From', 'To', 'Direction', 'CallSid', 'AccountSid', 'FlowSid', 'StirVerstat', 'ForwardedFrom',
];

// For the way there and back. With the longest deadline it stays below the ten seconds after
// which Studio gives up on a Function.
const TRAVEL_MS = 1000;

exports.handler = async function handler(context, event, callback) {
  let attributes;
  try {
    attributes = await ask(context || {}, event || {});
  } catch (error) {
    // Names of errors only: their messages may quote an answer, and with it a person.
    console.error('caller-context:', String(error?.cause?.code || error?.name || 'failed'));
    attributes = failed(event || {});
  }
  return callback(null, attributes);
};

async function ask(context, call) {
  const deadline = deadlineOf(context.CALLER_CONTEXT_DEADLINE_MS);
  const body = new URLSearchParams({ deadline_ms: String(deadline) });
  for (const name of PARAMETERS) {
    if (typeof call[name] === 'string') body.set(name, call[name]);
  }
  const response = await fetch(new URL('/api/studio/context', context.CALLER_CONTEXT_URL), {
    method: 'POST',
    headers: { Authorization: `Bearer ${context.CALLER_CONTEXT_API_KEY}` },
    body,
    // The key must not follow a redirect.
    redirect: 'error',
    // Holds for the body, too.
    signal: AbortSignal.timeout(deadline + TRAVEL_MS),
  });
  if (!response.ok) throw named(`HTTP ${response.status}`);
  const attributes = await response.json();
  const known = typeof attributes?.lookup_status === 'string' && typeof attributes.caller_data === 'string';
  if (!known) throw named('not an answer of the gateway');
  return attributes;
}

function deadlineOf(setting) {
  const wanted = Number(setting);
  return wanted > 0 ? Math.round(Math.min(Math.max(wanted, 50), 7500)) : 2500;
}

function named(name) {
  return Object.assign(new Error(name), { name });
}

// The same members as the gateway's own answer when it could look nothing up.
function failed(call) {
  const timestamp = new Date().toISOString();
  const outbound = typeof call.Direction === 'string' && call.Direction.startsWith('outbound');
  const number = outbound ? call.To : call.From;
  const published = [
    'caller_name', 'caller_email', 'account_status', 'vip_customer', 'last_interaction', 'preferred_agent',
  ];
  return {
    caller_name: 'Unknown',
    caller_email: '',
    account_status: '',
    vip_customer: false,
    last_interaction: '',
    preferred_agent: '',
    missing: published.map((name) => `${name}:unreachable`).join(','),
    lookup_status: 'failed',
    lookup_timestamp: timestamp,
    caller_id_status: '',
    match: 'none',
    greet_by_name: false,
    payment_info: null,
    appointments: [],
    caller_data: JSON.stringify({
      name: 'Unknown', account_id: '', status: '', last_contact: '', recent_orders: [],
    }),
    phone_number: typeof number === 'string' && /^\+[0-9]{1,15}$/.test(number) ? number : '',
    timestamp,
  };
}
