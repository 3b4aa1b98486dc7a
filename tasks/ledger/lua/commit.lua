-- Keeps true: an item has one result, the first; it is counted once; a paid result is never refused
-- while its run is known. ARGV: n, item, token, lease ms, result, outcome, cut, host, next item or ''.
-- Answer: whether it was the `first` or there was one (`late`), and whether the bundle is still
-- `held`, `done`, `lost` or `gone`.
local n, item, token, lease_ms, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local outcome, cut, host, next_item = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
if redis.call('EXISTS', run) == 0 then return {'unknown', 'gone'} end
local key, result_key = bundle_key(n), result_prefix .. n .. '-' .. item

local first = redis.call('SETNX', result_key, result) == 1
if first then
  redis.call('PUBLISH', result_key, result)
  redis.call('RPUSH', done, n .. ' ' .. item)
  redis.call('HINCRBY', counts, outcome, 1)
  redis.call('HINCRBY', counts, 'cut', cut)
  redis.call('HINCRBY', counts, outcome .. ':' .. host, 1)
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
if redis.call('HGET', key, 'holder') ~= token then return {novelty, 'lost'} end
redis.call('ZADD', owed, now() + lease_ms, n)
if next_item == '' then redis.call('HDEL', key, 'running') else redis.call('HSET', key, 'running', next_item) end
return {novelty, 'held'}
