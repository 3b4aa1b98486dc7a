-- Keeps true: a cancelled run owes nothing. Results that come later are still kept.
-- ARGV: the channel to say it on. Answer: how many bundles were still owed, or -1 if it had ended.
if redis.call('EXISTS', run) == 0 or redis.call('HEXISTS', run, 'ended') == 1 then return -1 end
local members = redis.call('ZRANGE', owed, 0, -1)
for _, n in ipairs(members) do
  local host, machine = unpack(redis.call('HMGET', bundle_key(n), 'host', 'machine'))
  if host then redis.call('SREM', held_prefix .. host, run_id .. ' ' .. n) end
  if machine then redis.call('PEXPIRE', machine, FORGOTTEN) end
  if n ~= SUBMISSION then redis.call('ZREM', due_key(n), n) end
  redis.call('DEL', bundle_key(n))
end
redis.call('DEL', owed)
for _, field in ipairs(redis.call('HKEYS', counts)) do
  local kind = string.match(field, '^(%a+):llmq%.')
  if field == 'held' or kind == 'waiting' or kind == 'tokens' or kind == 'items' then
    redis.call('HDEL', counts, field)
  end
end
redis.call('HSET', run, 'cancelled', now())
end_run_if_empty()
redis.call('PUBLISH', ARGV[1], run_id)
return #members
