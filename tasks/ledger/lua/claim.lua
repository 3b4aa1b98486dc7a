-- Keeps true: a bundle has at most one holder whose lease lives, and no more bundles of a run are
-- held than it allows; who holds a bundle that may have killed its holders holds no other such, so
-- that innocents do not share the blame. Grants the first free candidate, else the first that is due
-- in the same queue.
-- ARGV: token, host, lease ms, alone (1: no other live host serves this), queue, the worker's protocol,
-- candidates...
-- Answer: the reason there is nothing, or `granted`, n, record, claimed ms, the hash (flat), missing items.
local token, host, lease_ms, alone, queue = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local t = now()

local has_suspect -- found out once, if it matters
local function holds_suspect()
  if has_suspect ~= nil then return has_suspect end
  has_suspect = false
  local every_bundle = string.sub(bundle_prefix, 1, -string.len(run_id) - 2)
  for _, member in ipairs(redis.call('SMEMBERS', held_prefix .. host)) do
    local key = every_bundle .. string.gsub(member, ' ', ':')
    if redis.call('HEXISTS', key, 'deaths') == 1 then has_suspect = true end
  end
  return has_suspect
end

local function free(n)
  local score = redis.call('ZSCORE', owed, n)
  if not score then return false end
  local holder, in_queue, excluded, deaths, lender_host, lent_until = unpack(redis.call(
    'HMGET', bundle_key(n), 'holder', 'queue', 'not:' .. host, 'deaths', 'lender_host', 'lent_until'))
  if holder or in_queue ~= queue or tonumber(score) > t then return false end
  if lender_host == host and tonumber(lent_until) > t then return false end
  if deaths and holds_suspect() then return false end
  return alone == '1' or not excluded or tonumber(excluded) <= t
end

local function grant(n)
  local key = bundle_key(n)
  if redis.call('HGET', key, 'holder') ~= token then hold(n, token, host, lease_ms) end
  local lent_item = redis.call('HGET', key, 'lent_item')
  local missing, last = {}, nil
  for item = 0, redis.call('HGET', key, 'items') - 1 do
    if has_result(n, item) then -- nothing to do
    elseif tostring(item) == lent_item then last = item
    else missing[#missing + 1] = item end
  end
  missing[#missing + 1] = last -- its lender still tries, and may be first
  if #missing == 0 then finish(n) return nil end
  local fields = redis.call('HGETALL', key)
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
local most = redis.call('HGET', run, 'max_concurrent')
if most and tonumber(redis.call('HGET', counts, 'held') or '0') >= tonumber(most) then
  return {'full'}
end
for at = 7, #ARGV do
  local granted = free(ARGV[at]) and grant(ARGV[at])
  if granted then return granted end
end
local page, after = 64, '-inf'
while true do
  local due = redis.call('ZRANGEBYSCORE', due_prefix .. queue, after, t, 'WITHSCORES', 'LIMIT', 0, page)
  for at = 1, #due, 2 do
    local n = due[at]
    local granted = free(n) and grant(n)
    if granted then return granted end
  end
  if #due < 2 * page then break end
  after = '(' .. due[#due]
end
return {'nothing'}
