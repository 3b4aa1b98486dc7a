-- Keeps true: a bundle has at most one holder whose lease lives, and no more bundles of a run are
-- held than it allows; who holds a bundle that may have killed its holders holds no other such, so
-- that innocents do not share the blame; who is taken over from keeps the item it is at; of the cells of one
-- machine at most one is held, and who has waited longest for it is next.
-- ARGV: token, host, lease ms, alone (1: no other live host serves this), queue, the worker's protocol,
-- which of what is due (`longest`, `shortest`, `none`), of at most so many tokens or '', whether its first
-- item goes to the engine now (1) or later (then the holder says when), the key of the engine's machine or '',
-- then what may be taken over if none of it is granted: "<n> <its holder's token>", the best first.
-- Answer: the reason there is nothing, or `granted`, n, record, claimed ms, the hash (flat), missing items.
local token, host, lease_ms, alone, queue = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local which, most, begins = ARGV[7], ARGV[8], ARGV[9] == '1'
local machine = ARGV[10] ~= '' and redis.call('HGET', run, 'bench') == 'alone' and ARGV[10] or nil
local LATELY = 5000 -- ms; who waits for a machine asks more often
local t = now()

local has_suspect -- found out once, if it matters
local function holds_suspect()
  if has_suspect ~= nil then return has_suspect end
  has_suspect = false
  for _, member in ipairs(redis.call('SMEMBERS', held_prefix .. host)) do
    if redis.call('HEXISTS', key_of(member), 'deaths') == 1 then has_suspect = true end
  end
  return has_suspect
end

local function tries_here(n)
  local here = false
  each_try(n, function(_, _, _, trying_host) here = here or trying_host == host end)
  return here
end

local in_line = false -- there is a cell to be had, and others have the machine, or come before us

local function has_machine()
  if not machine then return true end
  local since, before = t, t
  local fields = redis.call('HGETALL', machine)
  for at = 1, #fields, 2 do
    local asks, from, last = string.match(fields[at], '^asks:(.+)$'), string.match(fields[at + 1], '^(%d+) (%d+)$')
    if asks and tonumber(last) > t - LATELY then
      if asks == host then since = tonumber(from) else before = math.min(before, tonumber(from)) end
    end
  end
  in_line = is_taken(machine) or since > before
  if in_line then redis.call('HSET', machine, 'asks:' .. host, since .. ' ' .. t) end
  return not in_line
end

local function free(n)
  local score = tonumber(redis.call('ZSCORE', owed, n) or BLOCKED)
  local holder, in_queue, excluded, deaths = unpack(
    redis.call('HMGET', bundle_key(n), 'holder', 'queue', 'not:' .. host, 'deaths'))
  if holder or in_queue ~= queue or score > t then return false end
  if score >= BEHIND and score < MOMENT and tries_here(n) then return false end -- our own late call
  if deaths and holds_suspect() then return false end
  return (alone == '1' or not excluded or tonumber(excluded) <= t) and has_machine()
end

-- Its holder is at work on one item and keeps that; one that has not begun keeps nothing.
local function take_over(n, from)
  local holder, in_queue, running, deaths, excluded, of_host = unpack(redis.call(
    'HMGET', bundle_key(n), 'holder', 'queue', 'running', 'deaths', 'not:' .. host, 'host'))
  if holder ~= from or in_queue ~= queue or deaths then return false end
  if excluded and tonumber(excluded) > t then return false end
  if running then keep_trying(n, from, running, 'well', of_host, lease_ms)
  else redis.call('HSET', bundle_key(n), 'released', from) end
  let_go(n)
  return true
end

local function grant(n)
  local key = bundle_key(n)
  if redis.call('HGET', key, 'holder') ~= token then hold(n, token, host, lease_ms, machine) end
  local missing, tried = missing_items(n)
  if #missing == 0 then missing = tried end -- a copy was asked for
  if #missing == 0 then finish(n) return nil end
  redis.call('HSET', run, 'claimed', t) -- of equal runs, the other is asked first now
  local fields = redis.call('HGETALL', key)
  if begins then redis.call('HSET', key, 'running', missing[1], 'since', t) end
  return {'granted', n, redis.call('LINDEX', plan, n), t, fields, missing}
end

if redis.call('EXISTS', run) == 0 then return {'unknown'} end
if redis.call('HGET', run, 'protocol') ~= ARGV[6] then return {'protocol'} end
for _, member in ipairs(redis.call('SMEMBERS', held_prefix .. host)) do -- the reply to this very claim was lost
  local of_run, n = string.match(member, '^(%S+) (%d+)$')
  if of_run == run_id and redis.call('HGET', bundle_key(n), 'holder') == token then
    local granted = grant(n)
    if granted then return granted end
  end
end
local limit = redis.call('HGET', run, 'max_concurrent')
if limit and tonumber(redis.call('HGET', counts, 'held') or '0') >= tonumber(limit) then
  return {'full'}
end

-- The first to be had of what is due between two scores, from the lowest score on or from the highest.
local function first_free(from, to, highest_first)
  local skip, size = 0, 64
  repeat
    local due = highest_first
      and redis.call('ZREVRANGEBYSCORE', due_prefix .. queue, to, from, 'LIMIT', skip, size)
      or redis.call('ZRANGEBYSCORE', due_prefix .. queue, from, to, 'LIMIT', skip, size)
    for _, n in ipairs(due) do
      local granted = free(n) and grant(n)
      if granted then return granted end
    end
    skip = skip + size
  until #due < size
end

-- Of each stage those that are short enough, later stages first.
local function first_short()
  for depth = tonumber(redis.call('HGET', run, 'depth') or '0'), 0, -1 do
    local from = string.format('%d', -depth * LATER - most * 100 - 99)
    local granted = first_free(from, depth == 0 and t or string.format('%d', 1 - depth * LATER))
    if granted then return granted end
  end
end

local due
if which == 'shortest' then due = first_free('-inf', '(' .. BEHIND, true) or first_free('-inf', t) end
if which == 'longest' then due = most == '' and first_free('-inf', t) or most ~= '' and first_short() end
if due then return due end
for at = 11, #ARGV do
  local n, from = string.match(ARGV[at], '^(%d+) (.+)$')
  local granted = take_over(n, from) and grant(n)
  if granted then return granted end
end
return {in_line and 'in line' or 'nothing'}
