-- Keeps true: what a run asks grows only by the command that submits it. ARGV: submitter, then the manifest
-- as field, value, ... Answer: `extended`, `lost`.
if redis.call('HGET', run, 'submitter') ~= ARGV[1] then return 'lost' end
redis.call('HSET', run, unpack(ARGV, 2))
return 'extended'
