-- Changes nothing: says what every open run has for some queues, so that tasks/policy.py can choose; the runs
-- in the order in which a free slot asks them: the higher priority, fewer bundles at work, longer without
-- a claim, older. KEYS as of a run called `*`. ARGV: most held bundles to tell of in all, queues. Answer: for
-- each run, and each queue that it ever had work for: run, queue, priority, 1 if more bundles are coming, what
-- waits there: bundles, items, tokens, tokens of the shortest due one (-1: none can be claimed now); answers so
-- far and their tokens; then for each bundle that is held in this queue: n, token, host, tokens, items that
-- nobody has begun, how long one runs (ms), who has it in hand, tokens that the running one's answer may
-- have, and those of all that nobody has begun ('': not known).
local t = now()
local left_to_tell = tonumber(ARGV[1])
local PAGE = 256 -- of a run's held bundles, and of those that failed a moment ago

-- From here on the names that common.lua uses mean this run.
local function be_at(id)
  local function of(key) return (string.gsub(key, '%*', id)) end
  run, owed, counts, run_id = of(KEYS[1]), of(KEYS[3]), of(KEYS[4]), id
  bundle_prefix, result_prefix, due_prefix = of(KEYS[6]), of(KEYS[7]), of(KEYS[12])
end

local function runs_in_order()
  local runs = {}
  for _, id in ipairs(redis.call('SMEMBERS', open_runs)) do
    be_at(id)
    local priority, created, claimed, most = unpack(redis.call('HMGET', run, 'priority', 'created', 'claimed',
      'max_concurrent'))
    local held = tonumber(redis.call('HGET', counts, 'held') or 0)
    local full = most and held >= tonumber(most)
    local place = {-(priority or 0), held, tonumber(claimed or 0), tonumber(created or 0), id}
    runs[#runs + 1] = {id = id, priority = priority or 0, held = held, full = full, place = place}
  end
  table.sort(runs, function(a, b)
    for at = 1, 4 do
      if a.place[at] ~= b.place[at] then return a.place[at] < b.place[at] end
    end
    return a.id < b.id
  end)
  return runs
end

-- The mean answer so far to a prompt; nil before the first. Asked for once a look.
local means = {}
local function mean_answer(depth, item)
  local prompt = run_id .. ':' .. depth .. ':' .. item
  if means[prompt] == nil then
    local answers, tokens = unpack(redis.call('HMGET', counts, 'answers:' .. depth .. ':' .. item,
      'answer_tokens:' .. depth .. ':' .. item))
    means[prompt] = answers and tokens / answers or false
  end
  return means[prompt] or nil
end

-- Tokens of the answers to the last `count` prompts, which come last; '' where one of them has had none yet.
local function rest_of(depth, items, count)
  local sum = 0
  for item = items - count, items - 1 do
    local mean = mean_answer(depth, item)
    if not mean then return '' end
    sum = sum + mean
  end
  return string.format('%.1f', sum)
end

local function tell_of(row, n, holder, host, size, left, running, since, depth, items)
  local copies, tried = 1, {}
  if running then tried[running] = true end
  each_try(n, function(_, item)
    copies = copies + 1
    if not tried[item] and not has_result(n, item) then tried[item] = true end
  end)
  local begun = 0
  for _ in pairs(tried) do begun = begun + 1 end
  local answer = running and mean_answer(depth, running)
  for _, value in ipairs({n, holder, host, size, left - begun, since and t - since or 0, copies,
      answer and string.format('%.1f', answer) or '', rest_of(depth, items, left - begun)}) do
    row[#row + 1] = value
  end
end

local function what_is_held(rows)
  for _, n in ipairs(redis.call('ZRANGEBYSCORE', owed, MOMENT, '(' .. BLOCKED, 'LIMIT', 0, PAGE)) do
    if left_to_tell <= 0 then return end
    local holder, host, queue, size, left, running, since, deaths, depth, items = unpack(redis.call('HMGET',
      bundle_key(n), 'holder', 'host', 'queue', 'tokens', 'left', 'running', 'since', 'deaths', 'depth', 'items'))
    if holder and rows[queue] and not deaths then
      tell_of(rows[queue], n, holder, host, size, left, running, since, depth or 0, items)
      left_to_tell = left_to_tell - 1
    end
  end
end

local function row_of(one, queue, coming)
  local waiting, items, tokens, answers, answer_tokens = unpack(redis.call('HMGET', counts,
    'waiting:' .. queue, 'items:' .. queue, 'tokens:' .. queue, 'answers', 'answer_tokens'))
  if not waiting then return nil end
  local shortest = not one.full and waiting ~= '0' and
    redis.call('ZREVRANGEBYSCORE', due_prefix .. queue, '(' .. MOMENT, '-inf', 'LIMIT', 0, 1)[1]
  return {one.id, queue, one.priority, coming, waiting, items or 0, tokens or 0,
    shortest and redis.call('HGET', bundle_key(shortest), 'tokens') or -1, answers or 0, answer_tokens or 0}
end

local answer = {}
for _, one in ipairs(runs_in_order()) do
  be_at(one.id)
  local submission = redis.call('ZSCORE', owed, SUBMISSION)
  local coming = submission and tonumber(submission) > t and 1 or 0
  local rows = {}
  for at = 2, #ARGV do
    local row = row_of(one, ARGV[at], coming)
    rows[ARGV[at]] = row
    answer[#answer + 1] = row -- none: nothing is added
  end
  -- Nobody helps with a cell of a benchmark: what is measured is one host under one load.
  if one.held > 0 and redis.call('HEXISTS', run, 'bench') == 0 then what_is_held(rows) end
end
return answer
