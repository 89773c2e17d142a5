// What the peers in JavaScript share: the three sources of the crowd with the timeouts of the published Function,
// and its way from their records to the attributes of a flow.

export const SOURCES = [['crm', 3000], ['customers', 2000], ['payments', 5000]];

/** The phone of a request, or undefined when the key is not right. */
export function phoneOf(url, authorization) {
  if (authorization !== `Bearer ${process.env.KEY}`) return undefined;
  const query = url.slice(url.indexOf('?') + 1);
  return new URLSearchParams(query).get('From') ?? '';
}

/** Settled lookups, in the order of SOURCES. Database, then CRM, then external: later ones win, as published. */
export function consolidate(settled) {
  const [crm, customers, payments] = settled.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
  const contact = crm?.results[0];
  return {
    ...customers,
    ...contact,
    ...(contact && { name: `${contact.firstname} ${contact.lastname}` }),
    ...payments,
    account_status: customers?.status,
    lookup_status: settled.every((one) => one.status === 'fulfilled') ? 'complete' : 'partial',
    lookup_timestamp: new Date().toISOString(),
  };
}

export function attributes(data) {
  const { outstanding_balance, currency, last_payment, payment_method, auto_pay_enabled } = data;
  return {
    caller_name: data.name ?? 'Unknown',
    caller_email: data.email ?? '',
    account_status: data.account_status ?? '',
    vip_customer: data.vip ?? false,
    last_interaction: data.last_contact ?? '',
    preferred_agent: data.preferred_agent ?? '',
    lookup_status: data.lookup_status,
    lookup_timestamp: data.lookup_timestamp,
    payment_info: { outstanding_balance, currency, last_payment, payment_method, auto_pay_enabled },
    appointments: data.appointments ?? [],
    caller_data: JSON.stringify({
      name: data.name,
      account_id: data.account_id,
      status: data.account_status,
      last_contact: data.last_contact,
      recent_orders: (data.orders ?? []).map(({ id, description, date }) => ({ id, description, date })),
    }),
  };
}
