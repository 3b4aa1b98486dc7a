-- Keeps true: what a dead predecessor on the same host held is due at once. ARGV: n, host, the new
-- worker's incarnation (the head of its tokens).
local n, host, incarnation = ARGV[1], ARGV[2], ARGV[3]
local holder, holding_host = unpack(redis.call('HMGET', bundle_key(n), 'holder', 'host'))
if not holder then
  redis.call('SREM', held_prefix .. host, run_id .. ' ' .. n)
elseif holding_host == host and string.sub(holder, 1, string.len(incarnation)) ~= incarnation then
  take_back(n)
  return 1
end
return 0
