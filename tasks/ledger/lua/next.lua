-- Keeps true: a holder whose item somebody else has answered goes on with another. ARGV: n, token, lease ms.
-- Answer: `held`, the next item, and how many follow it; `lost`, or `gone`.
local n, token, lease_ms = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', bundle_key(n)) == 0 then return {'gone'} end
if redis.call('HGET', bundle_key(n), 'holder') ~= token then return {'lost'} end
return go_on(n, lease_ms)
