-- Keeps true: while a run is open, asking for the same again finds it instead of starting another.
-- KEYS 13: llmq:same:<digest>. ARGV: fresh (1 starts anew), submitter, lease ms, then the manifest
-- as field, value, ... Answer: the id of the open run, or of this one.
local same = KEYS[13]
local open_id = redis.call('GET', same)
if ARGV[1] == '0' and open_id and redis.call('SISMEMBER', open_runs, open_id) == 1 then
  return open_id
end
redis.call('HSET', run, unpack(ARGV, 4))
redis.call('HSET', run, 'created', now(), 'submitter', ARGV[2], 'same', same)
redis.call('ZADD', all_runs, now(), run_id)
redis.call('SADD', open_runs, run_id)
redis.call('SET', same, run_id)
redis.call('ZADD', owed, now() + ARGV[3], SUBMISSION)
return run_id
