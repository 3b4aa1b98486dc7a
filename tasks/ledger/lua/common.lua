-- Shared by every script: the run's keys by name, the clock of Redis, and the moves that more than
-- one script makes. A bundle is unheld and due (its score says in which order: later stages first, of these
-- what was begun, then the longest), unheld with a moment as score (due then), held (score: the end of its
-- lease), or blocked behind another: the original of its copies, or the parent whose answers it reads. Beside its holder a bundle may have some who held it before and still try one item
-- of it each: `try:<token>` in its hash, "<item> <until> <in time, or late> <host>".
-- A cell that has the machine of its host to itself names that machine's key in its hash (`machine`), and the
-- key names the cell: the machine is taken while both do. KEYS 1-12 come from keys.of_run.
local run, plan, owed, counts, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local bundle_prefix, result_prefix, held_prefix = KEYS[6], KEYS[7], KEYS[8]
local open_runs, ended_runs, all_runs, due_prefix = KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local run_id = string.sub(result_prefix, string.len('celery-task-meta-') + 1, -2)
local SUBMISSION = 'submission' -- the member that says: more bundles are coming
local MOMENT = 1e12 -- scores below say an order, above are milliseconds
local BEHIND = 5e11 -- due, but after everything else
local BEGUN = 1e10  -- before what nobody has begun
local LATER = 2e10  -- and each stage before the one whose answers it reads, so that chains finish early
local BLOCKED = 9e15
local FORGOTTEN = 60000 -- ms after its last cell, of a machine

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function bundle_key(n) return bundle_prefix .. n end

-- Of "<run> <n>".
local function key_of(member)
  local every_bundle = string.sub(bundle_prefix, 1, -string.len(run_id) - 2)
  return every_bundle .. string.gsub(member, ' ', ':')
end

local function is_taken(machine)
  local cell = redis.call('HGET', machine, 'cell')
  return cell and redis.call('HGET', key_of(cell), 'machine') == machine
end

-- The unheld bundles of the same queue, with the same scores: what a claim looks through.
local function due_key(n) return due_prefix .. redis.call('HGET', bundle_key(n), 'queue') end

-- What is due stands in two sets, the longest first; equal ones in plan order.
local function set_due(n, score)
  if not score then
    local tokens, items, begun, depth = unpack(redis.call('HMGET', bundle_key(n), 'tokens', 'items', 'begun', 'depth'))
    score = n * 1e-7 - tokens * 100 - math.min(items, 99) - (begun and BEGUN or 0) - (depth or 0) * LATER
  end
  redis.call('ZADD', owed, score, n)
  redis.call('ZADD', due_key(n), score, n)
end

-- Bundles, items and tokens of what waits in a queue, its backoffs included.
local function count_waiting(n, sign)
  local queue, tokens, left = unpack(redis.call('HMGET', bundle_key(n), 'queue', 'tokens', 'left'))
  redis.call('HINCRBY', counts, 'waiting:' .. queue, sign)
  redis.call('HINCRBY', counts, 'tokens:' .. queue, string.format('%d', sign * tokens)) -- not -0
  if sign > 0 then redis.call('HSET', bundle_key(n), 'waits', left) -- a late result may come meanwhile
  else left = redis.call('HGET', bundle_key(n), 'waits') end
  redis.call('HINCRBY', counts, 'items:' .. queue, sign * left)
end

local function wait_in_queue(n, score)
  set_due(n, score)
  count_waiting(n, 1)
end

-- An item's first result is kept, counted and told; a later one changes nothing. Says if it was the first.
-- `tokens`: of the answer, where they were counted.
local function file_result(n, item, result, outcome, cut, host, tokens)
  local result_key = result_prefix .. n .. '-' .. item
  if redis.call('SETNX', result_key, result) == 0 then return false end
  redis.call('PUBLISH', result_key, result)
  redis.call('RPUSH', done, n .. ' ' .. item)
  redis.call('HINCRBY', counts, outcome, 1)
  redis.call('HINCRBY', counts, 'cut', cut)
  redis.call('HINCRBY', counts, outcome .. ':' .. host, 1)
  if tokens then
    local of_prompt = ':' .. (redis.call('HGET', bundle_key(n), 'depth') or 0) .. ':' .. item
    for _, field in ipairs({'', of_prompt}) do
      redis.call('HINCRBY', counts, 'answers' .. field, 1)
      redis.call('HINCRBY', counts, 'answer_tokens' .. field, tokens)
    end
  end
  return true
end

local function has_result(n, item) return redis.call('EXISTS', result_prefix .. n .. '-' .. item) == 1 end

-- `machine`: the key of the one it has to itself, nil if it has none.
local function hold(n, token, host, lease_ms, machine)
  if redis.call('ZREM', due_key(n), n) == 1 then count_waiting(n, -1) end
  redis.call('HINCRBY', counts, 'held', 1)
  redis.call('HSET', bundle_key(n), 'holder', token, 'host', host, 'begun', 1)
  redis.call('SADD', held_prefix .. host, run_id .. ' ' .. n)
  redis.call('ZADD', owed, now() + lease_ms, n)
  if not machine then return end
  redis.call('HSET', bundle_key(n), 'machine', machine)
  redis.call('HSET', machine, 'cell', run_id .. ' ' .. n)
  redis.call('HDEL', machine, 'asks:' .. host)
  redis.call('PERSIST', machine)
end

local TRY = '^(%d+) (%d+) (%a+) (.+)$'

-- Who holds a bundle lets go of all of it but the item it is at, which it still tries.
local function keep_trying(n, token, item, how, host, lease_ms)
  local try = item .. ' ' .. now() + lease_ms .. ' ' .. how .. ' ' .. host
  redis.call('HSET', bundle_key(n), 'try:' .. token, try)
end

-- The item that a token tries, how, and its host, if it does.
local function tried_by(n, token)
  local item, _, how, host = string.match(redis.call('HGET', bundle_key(n), 'try:' .. token) or '', TRY)
  return item, how, host
end

-- Of all who try an item of the bundle and are alive: call `see` with token, item, how and host.
local function each_try(n, see)
  local fields = redis.call('HGETALL', bundle_key(n))
  for at = 1, #fields, 2 do
    local token = string.match(fields[at], '^try:(.+)$')
    if token then
      local item, ends, how, host = string.match(fields[at + 1], TRY)
      if tonumber(ends) > now() then see(token, item, how, host) end
    end
  end
end

local function let_go(n)
  local host, machine = unpack(redis.call('HMGET', bundle_key(n), 'host', 'machine'))
  redis.call('HINCRBY', counts, 'held', -1)
  redis.call('SREM', held_prefix .. host, run_id .. ' ' .. n)
  redis.call('HDEL', bundle_key(n), 'holder', 'host', 'running', 'since', 'machine')
  if machine then redis.call('PEXPIRE', machine, FORGOTTEN) end
end

-- Items without a result: those to do, an item that somebody is late with behind the others; and apart
-- from them those that somebody tries and will bring.
local function missing_items(n)
  local how, missing, late, well = {}, {}, {}, {}
  each_try(n, function(_, item, kind) how[item] = kind end)
  for item = 0, redis.call('HGET', bundle_key(n), 'items') - 1 do
    if not has_result(n, item) then
      local kind = how[tostring(item)]
      local list = kind == 'well' and well or kind and late or missing
      list[#list + 1] = item
    end
  end
  for _, item in ipairs(late) do missing[#missing + 1] = item end
  return missing, well
end

-- Its holder is done with an item: says the next one and how many follow it, or that the bundle is lost,
-- because what is left is with somebody it was taken over from, who has it again.
local function go_on(n, lease_ms)
  local key, missing = bundle_key(n), missing_items(n)
  if #missing > 0 then
    redis.call('HSET', key, 'running', missing[1], 'since', now())
    redis.call('ZADD', owed, now() + lease_ms, n)
    return {'held', missing[1], #missing - 1}
  end
  local heir, item, host
  each_try(n, function(other, tried, _, of_host) heir, item, host = other, tried, of_host end)
  if not heir then return {'held'} end
  let_go(n)
  redis.call('HDEL', key, 'try:' .. heir)
  hold(n, heir, host, lease_ms)
  redis.call('HSET', key, 'running', item, 'since', now())
  return {'lost'}
end

-- The holder is not trusted any more: if an item was running, it is a suspect in its death.
local function take_back(n)
  local running, suspect = unpack(redis.call('HMGET', bundle_key(n), 'running', 'suspect'))
  if running and running ~= suspect then
    redis.call('HSET', bundle_key(n), 'suspect', running, 'deaths', 1)
  elseif running then
    redis.call('HINCRBY', bundle_key(n), 'deaths', 1)
  end
  let_go(n)
  wait_in_queue(n)
end

local function end_run_if_empty()
  if redis.call('ZCARD', owed) > 0 then return end
  redis.call('HSET', run, 'ended', now())
  redis.call('SREM', open_runs, run_id)
  redis.call('RPUSH', ended_runs, run_id)
end

-- How a result as Celery keeps it ended: whether well, and its fields. What cannot be read has no fields
-- (a lone surrogate in an answer), but its head says how it ended.
local function outcome_of(n, item)
  local meta = redis.call('GET', result_prefix .. n .. '-' .. item) or ''
  local readable, object = pcall(cjson.decode, meta)
  local well = not string.find(string.sub(meta, 1, 200), '"status": "FAILURE"', 1, true)
  return well, readable and object.result or {}, readable and object.date_done or '', string.len(meta)
end

-- The result of an item whose parent failed: the run's blank form, filled in.
local function upstream_failed(n, item, parent, fields, date)
  local function said(number) return cjson.decode(redis.call('LINDEX', plan, number)) end
  local own, error = said(n), fields.error or {type = 'error', message = 'unknown', host = ''}
  local message = error.message
  if error.type ~= 'upstream_failed' then
    local stage = cjson.decode(redis.call('HGET', run, 'stages'))[(said(parent).stage or 0) + 1]
    message = stage .. ' failed: ' .. error.type .. ': ' .. message
  end
  local filled = {
    item = run_id .. '-' .. n .. '-' .. item, model = own.model or cjson.null, host = error.host,
    message = message, date = date,
  }
  local function fill(name) return cjson.encode(filled[name]) end
  return (string.gsub(redis.call('HGET', run, 'upstream'), '"<(%a+)>"', fill))
end

-- Items of a later stage whose parent failed end with its reason; the others can now tell how long the
-- texts are that they read.
local function hear_parent(n, parent)
  local key, chars, read = bundle_key(n), 0, 0
  for item = 0, redis.call('HGET', key, 'items') - 1 do
    if not has_result(n, item) then
      local well, fields, date, length = outcome_of(parent, item)
      if well then
        chars, read = chars + (type(fields.answer) == 'string' and string.len(fields.answer) or length), read + 1
      else
        file_result(n, item, upstream_failed(n, item, parent, fields, date), 'failed', 0, '')
        redis.call('HINCRBY', key, 'left', -1)
      end
    end
  end
  if read > 0 then redis.call('HINCRBY', key, 'tokens', math.floor(chars / read / 4)) end
end

local finish

-- What a bundle waited behind has ended.
local function unblock(n, ended)
  local key = bundle_key(n)
  if redis.call('HDEL', key, 'after') == 0 then return end
  redis.call('HSET', key, 'added', now())
  if redis.call('HEXISTS', key, 'parent') == 1 then hear_parent(n, ended) end
  local left, holder = unpack(redis.call('HMGET', key, 'left', 'holder'))
  if tonumber(left) <= 0 then finish(n)
  elseif not holder then wait_in_queue(n) end -- who holds it has it from before Redis came back with older data
end

-- Takes a bundle without missing items off the ledger and lets go on what waited behind it.
finish = function(n)
  local key = bundle_key(n)
  if redis.call('HEXISTS', key, 'holder') == 1 then let_go(n) end
  if redis.call('ZREM', due_key(n), n) == 1 then count_waiting(n, -1) end
  for next_n in string.gmatch(redis.call('HGET', key, 'next') or '', '%d+') do unblock(next_n, n) end
  redis.call('DEL', key)
  redis.call('HDEL', run, 'cell:' .. n) -- how far it was, of a benchmark's (tasks/bench/progress.py)
  redis.call('ZREM', owed, n)
  end_run_if_empty()
end
