-- Keeps true: from here on, an empty set means done. ARGV: submitter. Answer: `submitted`, `lost`.
if redis.call('HGET', run, 'submitter') ~= ARGV[1] then return 'lost' end
if redis.call('ZREM', owed, SUBMISSION) == 1 then end_run_if_empty() end
return 'submitted'
