-- Keeps true: one command at a time submits a run. ARGV: submitter, lease ms. Answer: `submitted`
-- (nothing left to submit), `busy` (another command is at it), or `yours` and the files done.
if redis.call('EXISTS', run) == 0 then return {'unknown'} end
local lease = redis.call('ZSCORE', owed, SUBMISSION)
if not lease then return {'submitted'} end
if tonumber(lease) > now() and redis.call('HGET', run, 'submitter') ~= ARGV[1] then return {'busy'} end
redis.call('HSET', run, 'submitter', ARGV[1])
redis.call('ZADD', owed, now() + ARGV[2], SUBMISSION)
return {'yours', redis.call('HGET', run, 'files_done') or '0'}
