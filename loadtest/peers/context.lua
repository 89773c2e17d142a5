-- A hit is the bytes of the shared dictionary; a miss asks the three sources, merges what they say and keeps it.
-- No single flight.
local cjson = require "cjson.safe"
local FRESH = 300

local function answer(bytes)
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #bytes
    ngx.print(bytes)
end

local function pick(from, names)
    local picked = {}
    for _, name in ipairs(names) do picked[name] = from[name] end
    return picked
end

local function attributes(crm, customer, payments)
    local contact = crm.results[1]
    local orders = {}
    for i, order in ipairs(customer.orders) do orders[i] = pick(order, { "id", "description", "date" }) end
    local name = contact.firstname .. " " .. contact.lastname
    return {
        caller_name = name,
        caller_email = contact.email,
        account_status = customer.status,
        vip_customer = contact.vip,
        last_interaction = contact.last_contact,
        preferred_agent = contact.preferred_agent,
        lookup_status = "complete",
        lookup_timestamp = os.date("!%Y-%m-%dT%H:%M:%SZ"),
        payment_info = pick(payments, {
            "outstanding_balance", "currency", "last_payment", "payment_method", "auto_pay_enabled",
        }),
        appointments = payments.appointments,
        caller_data = cjson.encode({
            name = name, account_id = customer.account_id, status = customer.status,
            last_contact = contact.last_contact, recent_orders = orders,
        }),
    }
end

if ngx.var.http_authorization ~= authorization then return ngx.exit(401) end
local phone = ngx.req.get_uri_args().From
if type(phone) ~= "string" then return ngx.exit(400) end

local contexts = ngx.shared.contexts
local kept = contexts:get(phone)
if kept then return answer(kept) end

local ask = { args = { phone = phone } }
local crm, customer, payments =
    ngx.location.capture_multi({ { "/source/crm", ask }, { "/source/customers", ask }, { "/source/payments", ask } })
crm, customer, payments = cjson.decode(crm.body), cjson.decode(customer.body), cjson.decode(payments.body)
if not (crm and customer and payments) then return answer('{"lookup_status":"partial"}') end
local bytes = cjson.encode(attributes(crm, customer, payments))
contexts:set(phone, bytes, FRESH)
answer(bytes)
