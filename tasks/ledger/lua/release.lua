-- Keeps true: a bundle its holder gives back is due again, elsewhere first if it failed here. Who only
-- tries an item gives up its try; the bundle is another's or due already.
-- ARGV: n, token, backoff ms, how long not to this host (ms), item that failed or '', what happened.
-- Answer: `released` or `lost`.
local MOST_FAILURES = 8000 -- bytes; an engine that is busy for a day fills no memory
local n, token, backoff_ms, elsewhere_ms, item, reason = unpack(ARGV)
local key = bundle_key(n)
local holder, host = unpack(redis.call('HMGET', key, 'holder', 'host'))
local tried, _, trying_host = tried_by(n, token)
if tried then host = trying_host elseif holder ~= token then return 'lost' end
if item ~= '' then
  local before = redis.call('HGET', key, 'failed:' .. item) or ''
  if string.len(before) > MOST_FAILURES then before = string.gsub(before, '^[^\n]*\n', '', 1) end
  redis.call('HSET', key, 'failed:' .. item, before .. reason)
end
if elsewhere_ms ~= '0' then redis.call('HSET', key, 'not:' .. host, now() + elsewhere_ms) end
redis.call('HSET', key, 'released', token) -- a renewal under way must not adopt it again
if tried then
  redis.call('HDEL', key, 'try:' .. token)
  return 'released'
end
let_go(n)
if backoff_ms == '0' then wait_in_queue(n) else wait_in_queue(n, now() + backoff_ms) end
return 'released'
