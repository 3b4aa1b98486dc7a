-- Keeps true: no bundle stays with a holder whose lease ended, unless the steward itself was away
-- (an outage, a sleep): then holders get one lease to renew first. Says what is due, by queue.
-- KEYS 13: llmq:tick. ARGV: the longest pause between two ticks (ms), lease ms.
-- Answer: due bundles, then queue, bundles waiting there, ...
local tick = KEYS[13]
local t = now()
local last, quiet_until = unpack(redis.call('HMGET', tick, 'last', 'quiet_until'))
if not last or t - last > tonumber(ARGV[1]) then
  quiet_until = t + ARGV[2]
  redis.call('HSET', tick, 'quiet_until', quiet_until)
end
redis.call('HSET', tick, 'last', t)

for _, n in ipairs(redis.call('ZRANGEBYSCORE', owed, MOMENT, t, 'LIMIT', 0, 1000)) do
  if n ~= SUBMISSION then
    if redis.call('HEXISTS', bundle_key(n), 'holder') == 0 then
      set_due(n)
    elseif t >= tonumber(quiet_until or 0) then
      take_back(n)
    end
  end
end

local most = redis.call('HGET', run, 'max_concurrent')
local room = most and most - (redis.call('HGET', counts, 'held') or 0) or BLOCKED
local due = math.min(redis.call('ZCOUNT', owed, '-inf', '(' .. MOMENT), math.max(room, 0))
local answer = {due}
local fields = redis.call('HGETALL', counts)
for at = 1, #fields, 2 do
  local queue = string.match(fields[at], '^waiting:(.+)$')
  if queue and tonumber(fields[at + 1]) > 0 then
    answer[#answer + 1] = queue
    answer[#answer + 1] = tonumber(fields[at + 1])
  end
end
return answer
