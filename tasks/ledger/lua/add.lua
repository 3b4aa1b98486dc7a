-- Keeps true: a bundle is in the plan, owed and counted, all or nothing, and only by the command
-- that submits the run; said twice (a lost reply), it is added once. ARGV: submitter, lease ms, files
-- done, a digest of their contents, number of the first bundle, then for each bundle: record, queue, items,
-- tokens, the number of the bundle it waits for or -1, whether that is its parent (1) or an original it
-- copies (0), how many stages come before its own, how many of its items end here and now (a paper that cannot be read, an
-- answer of an earlier run), and for each of these: item, outcome, cut, host, result.
-- Answer: `added`, `lost`, `cancelled` or `behind`.
if redis.call('HEXISTS', run, 'cancelled') == 1 then return 'cancelled' end
if redis.call('HGET', run, 'submitter') ~= ARGV[1] then return 'lost' end
local length = redis.call('LLEN', plan)
if length > tonumber(ARGV[5]) then return 'added' end
if length < tonumber(ARGV[5]) then return 'behind' end -- Redis came back with older data
local t = now()
local at = 6
local function take() at = at + 1 return ARGV[at - 1] end

local function settle(n, known)
  for _ = 1, tonumber(known) do
    local item, outcome, cut, host, result = take(), take(), take(), take(), take()
    file_result(n, item, result, outcome, cut, host)
    if outcome == 'successful' then redis.call('HINCRBY', counts, 'reused', 1) end
  end
end

local function count_left(n, items)
  local left = 0
  for item = 0, items - 1 do
    if not has_result(n, item) then left = left + 1 end
  end
  return left
end

while at <= #ARGV do
  local n = redis.call('RPUSH', plan, take()) - 1
  local queue, items, tokens, after, parent, depth, known = take(), take(), take(), take(), take(), take(), take()
  redis.call('HINCRBY', counts, 'total', items)
  settle(n, known)
  local left = count_left(n, items)
  if left > 0 then
    redis.call('HSET', bundle_key(n), 'queue', queue, 'left', left, 'items', items, 'tokens', tokens, 'added', t)
    if depth ~= '0' then redis.call('HSET', bundle_key(n), 'depth', depth) end
    if after == '-1' then
      wait_in_queue(n)
    else
      redis.call('HSET', bundle_key(n), 'after', after)
      if parent == '1' then redis.call('HSET', bundle_key(n), 'parent', 1) end
      if redis.call('EXISTS', bundle_key(after)) == 1 then
        local waiting = redis.call('HGET', bundle_key(after), 'next')
        redis.call('HSET', bundle_key(after), 'next', (waiting and waiting .. ' ' or '') .. n)
        redis.call('ZADD', owed, BLOCKED, n)
      else
        unblock(n, after)
      end
    end
  end
end
redis.call('HSET', run, 'files_done', ARGV[3], 'contents', ARGV[4])
redis.call('ZADD', owed, t + ARGV[2], SUBMISSION)
return 'added'
