-- Keeps true: a bundle its holder gives back is due again, elsewhere first if it failed here.
-- ARGV: n, token, backoff ms, how long not to this host (ms), item that failed or '', what happened.
-- Answer: `released` or `lost`.
local n, token, backoff_ms, elsewhere_ms, item, reason = unpack(ARGV)
local key = bundle_key(n)
if redis.call('HGET', key, 'holder') ~= token then return 'lost' end
local host = redis.call('HGET', key, 'host')
if item ~= '' then
  redis.call('HSET', key, 'failed:' .. item, (redis.call('HGET', key, 'failed:' .. item) or '') .. reason)
end
if elsewhere_ms ~= '0' then redis.call('HSET', key, 'not:' .. host, now() + elsewhere_ms) end
let_go(n)
redis.call('HSET', key, 'released', token) -- a renewal under way must not adopt it again
if backoff_ms == '0' then wait_in_queue(n) else wait_in_queue(n, now() + backoff_ms) end
return 'released'
