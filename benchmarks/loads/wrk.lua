-- The closed loop of singles.py for wrk, an independent generator: a transfer a request, a key each.
-- Arguments: prefix, token, accounts. Writes one line of JSON at the end.
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

function init(arguments)
    prefix = arguments[1] .. "-" .. number
    accounts = tonumber(arguments[3])
    sent = 0
    math.randomseed(number)
    wrk.headers["Authorization"] = "Bearer " .. arguments[2]
    wrk.headers["Content-Type"] = "application/json"
end

function request()
    sent = sent + 1
    local body = string.format(
        '{"transaction":{"source_account_id":"external:%d","destination_account_id":"account-%d",'
            .. '"amount":12.34,"currency":"USD"},"idempotencyKey":"%s-%d"}',
        math.random(0, accounts - 1), math.random(0, accounts - 1), prefix, sent)
    return wrk.format("POST", "/api/v1/transactions", nil, body)
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"seconds":%f,"failures":%d,"p50_ms":%f,"p99_ms":%f}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
