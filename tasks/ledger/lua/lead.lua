-- Keeps true: one steward at a time. KEYS 1: llmq:steward. ARGV: token, time to live ms, or 0 to
-- resign. Answer: 1 if this one leads.
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
