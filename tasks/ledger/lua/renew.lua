-- Keeps true: a holder that still works keeps its bundle; after Redis came back with older data, an
-- unheld bundle goes to whoever still works on it. ARGV: n, token, host, lease ms.
-- Answer: `held`, `lost` (another's) or `gone` (done, cancelled).
local n, token, host, lease_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('EXISTS', bundle_key(n)) == 0 then return 'gone' end
local holder = redis.call('HGET', bundle_key(n), 'holder')
if not holder then
  if redis.call('HGET', bundle_key(n), 'released') == token then return 'lost' end
  hold(n, token, host, lease_ms)
elseif holder ~= token then
  return 'lost'
end
redis.call('ZADD', owed, now() + lease_ms, n)
return 'held'
