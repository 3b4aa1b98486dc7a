-- Keeps true: a bundle whose holder waits too long for an engine is due for other hosts, while that
-- holder still tries the item it is at; the first result counts, whoever brings it.
-- ARGV: n, token, lease ms, item. Answer: `lent` or `lost`.
local n, token, lease_ms, item = unpack(ARGV)
local key = bundle_key(n)
local holder, host = unpack(redis.call('HMGET', key, 'holder', 'host'))
if holder ~= token then return 'lost' end
let_go(n)
keep_trying(n, token, item, 'late', host, lease_ms)
wait_in_queue(n, BEHIND + n) -- for who has nothing else to do
return 'lent'
