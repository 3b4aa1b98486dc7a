-- Keeps true: an invitation leaves its queue only if its run is this one; the others keep their order.
-- Looks at one page: the oldest messages go round to the young end, so that all pages together bring the
-- queue back to where it was, and no call blocks Redis for long.
-- KEYS 13: the queue, a list of kombu's. ARGV: messages a page. Answer: invitations taken out.
local queue, most = KEYS[13], ARGV[1]
-- Quotes inside a JSON text are escaped, so that no label or file name can look like this.
local mark = '"id": "' .. run_id .. '-'
local kept, taken = {}, 0
for _, message in ipairs(redis.call('RPOP', queue, most) or {}) do
  if string.find(message, mark, 1, true) then taken = taken + 1 else kept[#kept + 1] = message end
end
if #kept > 0 then redis.call('LPUSH', queue, unpack(kept)) end
return taken
