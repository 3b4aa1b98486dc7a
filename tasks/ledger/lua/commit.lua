-- Keeps true: an item has one result, the first; it is counted once; a paid result is never refused
-- while its run is known. ARGV: n, item, token, lease ms, result, outcome, cut, host, next item or '',
-- then for an answer that later runs may take: its field, and how long it lives (s); KEYS 13: where.
-- Answer: whether it was the `first` or there was one (`late`), and whether the bundle is still
-- `held`, `done`, `lost` or `gone`.
local n, item, token, lease_ms, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local outcome, cut, host, next_item, field, ttl_s = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
if redis.call('EXISTS', run) == 0 then return {'unknown', 'gone'} end
local key = bundle_key(n)

local first = file_result(n, item, result, outcome, cut, host)
if first and field then
  redis.call('HSET', KEYS[13], field, run_id .. '-' .. n .. '-' .. item)
  redis.call('EXPIRE', KEYS[13], ttl_s)
end
local novelty = first and 'first' or 'late'
if redis.call('EXISTS', key) == 0 then
  if first and redis.call('HEXISTS', run, 'ended') == 1 then redis.call('RPUSH', ended_runs, run_id) end
  return {novelty, 'gone'}
end
if first then
  redis.call('HDEL', key, 'failed:' .. item, 'suspect', 'deaths')
  if redis.call('HINCRBY', key, 'left', -1) <= 0 then
    finish(n)
    return {novelty, 'done'}
  end
end
local holder, lender = unpack(redis.call('HMGET', key, 'holder', 'lender'))
if not holder and lender == token then -- nobody came to help
  hold(n, token, redis.call('HGET', key, 'lender_host'), lease_ms)
  holder = token
end
if lender == token then end_loan(n) end
if holder ~= token then return {novelty, 'lost'} end
redis.call('ZADD', owed, now() + lease_ms, n)
if next_item == '' then redis.call('HDEL', key, 'running') else redis.call('HSET', key, 'running', next_item) end
return {novelty, 'held'}
