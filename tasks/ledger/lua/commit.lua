-- Keeps true: an item has one result, the first; it is counted once; a paid result is never refused
-- while its run is known; others who try the same item hear of it. ARGV: n, item, token, lease ms, result,
-- outcome, cut, host, tokens of the answer or '', the channel for those who are late, then for an answer
-- that later runs may take: its field, and how long it lives (s); KEYS 13: where. Answer: whether it was the
-- `first` or there was one (`late`), whether the bundle is still `held`, or `done`, `lost` or `gone`, and if
-- held the next item, and how many follow it.
local n, item, token, lease_ms, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local outcome, cut, host, tokens = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local late_channel, field, ttl_s = ARGV[10], ARGV[11], ARGV[12]
if redis.call('EXISTS', run) == 0 then return {'unknown', 'gone'} end
local key = bundle_key(n)

local first = file_result(n, item, result, outcome, cut, host, tokens ~= '' and tokens)
if first and field then
  redis.call('HSET', KEYS[13], field, run_id .. '-' .. n .. '-' .. item)
  redis.call('EXPIRE', KEYS[13], ttl_s)
end
local novelty = first and 'first' or 'late'
if redis.call('EXISTS', key) == 0 then
  if first and redis.call('HEXISTS', run, 'ended') == 1 then redis.call('RPUSH', ended_runs, run_id) end
  return {novelty, 'gone'}
end
local holder, running = unpack(redis.call('HMGET', key, 'holder', 'running'))
if first then
  local function tell(other) redis.call('PUBLISH', late_channel, other .. ' ' .. item) end
  each_try(n, function(other, tried) if other ~= token and tried == item then tell(other) end end)
  if holder and holder ~= token and running == item then tell(holder) end
  redis.call('HDEL', key, 'failed:' .. item, 'suspect', 'deaths')
  if redis.call('HINCRBY', key, 'left', -1) <= 0 then
    finish(n)
    return {novelty, 'done'}
  end
end
if redis.call('HDEL', key, 'try:' .. token) == 1 and not holder then -- nobody came to help
  hold(n, token, host, lease_ms)
  holder = token
end
if holder ~= token then return {novelty, 'lost'} end
return {novelty, unpack(go_on(n, lease_ms))}
