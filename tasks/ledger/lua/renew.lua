-- Keeps true: a holder that still works keeps its bundle; after Redis came back with older data, an
-- unheld bundle goes to whoever still works on it, but for a cell whose machine another has now.
-- ARGV: n, token, host, lease ms, the item at work or '', the key of the machine it has to itself or ''.
-- Answer: `held`, `lent` (others may take it, or have; that item has no result yet), `lost` (another's) or
-- `gone` (done, cancelled).
local n, token, host, lease_ms, item = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local machine = ARGV[6] ~= '' and ARGV[6] or nil
local key = bundle_key(n)
if redis.call('EXISTS', key) == 0 then return 'gone' end
local holder, released = unpack(redis.call('HMGET', key, 'holder', 'released'))
local tried, how = tried_by(n, token)
if tried then
  if has_result(n, tried) then return 'lost' end
  keep_trying(n, token, tried, how, host, lease_ms)
  return 'lent'
end
if holder and holder ~= token or released == token then return 'lost' end
if not holder then
  if machine and is_taken(machine) then return 'lost' end
  hold(n, token, host, lease_ms, machine)
end
redis.call('ZADD', owed, now() + lease_ms, n)
if item ~= '' then redis.call('HSET', key, 'running', item, 'since', now()) end
return 'held'
