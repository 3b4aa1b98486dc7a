-- Keeps true: no text, with the answers about it, goes that a run may need. The caller has read the plans of
-- all runs it knows, none of them still being submitted; a run that began since may count on what it found.
-- KEYS 13...: what goes. ARGV: the runs the caller knows. Answer: how many went, or -1 if there is
-- another run.
local known = {}
for _, one in ipairs(ARGV) do known[one] = true end
for _, one in ipairs(redis.call('ZRANGE', all_runs, 0, -1)) do
  if not known[one] then return -1 end
end
return redis.call('UNLINK', unpack(KEYS, 13))
