// The caller panel that agents have today, without the drawing: it reads the task's attribute,
// parses it and shows five things. Nothing of it guards against what an answer might lack.
// Standard input: a list of tasks' attributes. Standard output: a list of panels, each the lines
// it shows.
import { readFileSync } from 'node:fs';

function panel(task) {
  const caller = JSON.parse(task.attributes.caller_data);
  return [
    `Name: ${caller.name}`,
    `Account: ${caller.account_id}`,
    `Status: ${caller.status}`,
    `Last Contact: ${caller.last_contact}`,
    'Recent Orders:',
    ...caller.recent_orders.map((order) => `${order.id}: ${order.description} (${order.date})`),
  ];
}

const all = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(all.map((attributes) => panel({ attributes }))));
