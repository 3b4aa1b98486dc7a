-- Changes nothing: says what a run has for a queue, so that tasks/policy.py can choose. ARGV: queue, most
-- held bundles to tell of. Answer: what waits there: bundles, items, tokens, tokens of the shortest due one
-- (-1: none is due); answers so far and their tokens; bundles held in all; then for each that is held in
-- this queue: n, token, host, tokens, items that nobody has begun, how long one runs (ms), who has it in hand.
local queue = ARGV[1]
local waiting, items, tokens, answers, answer_tokens, held = unpack(redis.call('HMGET', counts,
  'waiting:' .. queue, 'items:' .. queue, 'tokens:' .. queue, 'answers', 'answer_tokens', 'held'))
local shortest = redis.call('ZREVRANGEBYSCORE', due_prefix .. queue, '(' .. MOMENT, '-inf', 'LIMIT', 0, 1)[1]
local answer = {
  waiting or 0, items or 0, tokens or 0, shortest and redis.call('HGET', bundle_key(shortest), 'tokens') or -1,
  answers or 0, answer_tokens or 0, held or 0,
}
local t = now()
for _, n in ipairs(redis.call('ZRANGEBYSCORE', owed, MOMENT, '(' .. BLOCKED, 'LIMIT', 0, ARGV[2])) do
  local holder, host, in_queue, size, left, running, since, deaths = unpack(redis.call('HMGET', bundle_key(n),
    'holder', 'host', 'queue', 'tokens', 'left', 'running', 'since', 'deaths'))
  if holder and in_queue == queue and not deaths then
    local copies, tried = 1, {}
    if running then tried[running] = true end
    each_try(n, function(_, item)
      copies = copies + 1
      if not tried[item] and not has_result(n, item) then tried[item] = true end
    end)
    local begun = 0
    for _ in pairs(tried) do begun = begun + 1 end
    for _, value in ipairs({n, holder, host, size, left - begun, since and t - since or 0, copies}) do
      answer[#answer + 1] = value
    end
  end
end
return answer
