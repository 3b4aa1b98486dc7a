-- Keeps true: a bundle is in the plan, owed and counted, all or nothing, and only by the command
-- that submits the run; said twice (a lost reply), it is added once. ARGV: submitter, lease ms, files
-- done, number of the first bundle, then for each bundle: record, queue, items, the number of the
-- bundle it waits for or -1. Answer: `added`, `lost`, `cancelled` or `behind`.
if redis.call('HEXISTS', run, 'cancelled') == 1 then return 'cancelled' end
if redis.call('HGET', run, 'submitter') ~= ARGV[1] then return 'lost' end
local length = redis.call('LLEN', plan)
if length > tonumber(ARGV[4]) then return 'added' end
if length < tonumber(ARGV[4]) then return 'behind' end -- Redis came back with older data
local t = now()
for at = 5, #ARGV, 4 do
  local n = redis.call('RPUSH', plan, ARGV[at]) - 1
  local queue, items, after = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  redis.call('HSET', bundle_key(n), 'queue', queue, 'left', items, 'items', items, 'added', t)
  redis.call('HINCRBY', counts, 'total', items)
  if after ~= '-1' and redis.call('EXISTS', bundle_key(after)) == 1 then
    local waiting = redis.call('HGET', bundle_key(after), 'next')
    redis.call('HSET', bundle_key(after), 'next', (waiting and waiting .. ' ' or '') .. n)
    redis.call('HSET', bundle_key(n), 'after', after)
    redis.call('ZADD', owed, BLOCKED, n)
  else
    wait_in_queue(n)
  end
end
redis.call('HSET', run, 'files_done', ARGV[3])
redis.call('ZADD', owed, t + ARGV[2], SUBMISSION)
return 'added'
