-- What one caller has used of its limits, counted over sliding windows as `window.rs` counts them: 120 slots of a
-- period, and one more, because the oldest and the newest are in the period with a part each.
--
-- KEYS[1]     a hash: `e` when it was made, `p` until when the caller is paused, and for each limit (r, t, b) the
--             newest slot `n`, the sum `u`, and the slots `0` to `120`
-- ARGV[1]     the time in microseconds; 0 for the server's
-- ARGV[2]     the `e` that the guard knows
-- ARGV[3]     1 to count a request if there is room for it
-- ARGV[4..9]  how many (0: no limit) and in how many microseconds: requests, tokens, blocked
-- ARGV[10]    how long who is blocked too often is paused, in microseconds
-- ARGV[11..]  what the guard has let pass and not reported yet: which limit (1 to 3), how many slots ago, how many
--
-- Returns a word, `e`, and how long to wait in microseconds. `stranger`: the guard knows another `e`, so this hash is
-- without what that guard has reported before, and nothing was done.
local SLOTS, KEPT = 120, 121
local key, now = KEYS[1], tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local function whole(number) return string.format('%.0f', number) end

local limits, longest = {}, tonumber(ARGV[10])
for at, name in ipairs({ 'r', 't', 'b' }) do
  local count, per = tonumber(ARGV[2 + 2 * at]), tonumber(ARGV[3 + 2 * at])
  limits[at] = { name = name, count = count, width = per / SLOTS }
  if count > 0 then longest = math.max(longest, per) end
end
local lasts = whole(math.ceil(longest / 1000 * (1 + 2 / SLOTS)) + 1)

local known = redis.call('HMGET', key, 'e', 'p', 'rn', 'ru', 'tn', 'tu', 'bn', 'bu')
local made = known[1]
if made ~= ARGV[2] then
  if not made then
    made = whole(now)
    redis.call('HSET', key, 'e', made)
    redis.call('PEXPIRE', key, lasts)
  end
  return { 'stranger', made, '0' }
end

local function fields(limit)
  local all = {}
  for place = 0, KEPT - 1 do all[place + 1] = limit.name .. place end
  return all
end

local function clear(limit)
  redis.call('HDEL', key, limit.name .. 'u', unpack(fields(limit)))
  limit.used = 0
end

-- Forgets what has left the window.
local function roll(limit, newest, used)
  limit.slot = math.floor(now / limit.width)
  limit.newest, limit.used = tonumber(newest) or limit.slot, tonumber(used) or 0
  local passed = limit.slot - limit.newest
  if passed >= KEPT or passed < -KEPT then
    -- All of it; or the server's clock was set back by more than a period.
    clear(limit)
    limit.newest = limit.slot
  elseif passed > 0 then
    local gone = {}
    for number = limit.newest + 1, limit.slot do gone[#gone + 1] = limit.name .. number % KEPT end
    local counts, left = redis.call('HMGET', key, unpack(gone)), 0
    for _, count in ipairs(counts) do left = left + (tonumber(count) or 0) end
    if left > 0 then
      redis.call('HDEL', key, unpack(gone))
      limit.used = redis.call('HINCRBY', key, limit.name .. 'u', whole(-left))
    end
    limit.newest = limit.slot
  end
  if newest ~= whole(limit.newest) then redis.call('HSET', key, limit.name .. 'n', whole(limit.newest)) end
end

local function add(limit, age, count)
  if age >= KEPT then return end
  redis.call('HINCRBY', key, limit.name .. (limit.newest - age) % KEPT, whole(count))
  limit.used = redis.call('HINCRBY', key, limit.name .. 'u', whole(count))
end

-- How long there is no room, if nothing else is added.
local function wait(limit)
  local counts, used = redis.call('HMGET', key, unpack(fields(limit))), limit.used
  for number = limit.newest - KEPT + 1, limit.newest do
    used = used - (tonumber(counts[number % KEPT + 1]) or 0)
    if used < limit.count then return math.max(0, (number + KEPT) * limit.width - now) end
  end
  return 0
end

local function answer(word, time)
  redis.call('PEXPIRE', key, lasts)
  return { word, made, whole(math.ceil(time)) }
end

for at, limit in ipairs(limits) do
  if limit.count > 0 then roll(limit, known[1 + 2 * at], known[2 + 2 * at]) end
end
for at = 11, #ARGV, 3 do
  local limit = limits[tonumber(ARGV[at])]
  if limit.count > 0 then add(limit, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])) end
end

local requests, tokens, blocked = limits[1], limits[2], limits[3]
local paused = tonumber(known[2]) or 0
if blocked.count > 0 and blocked.used > blocked.count then
  paused = now + tonumber(ARGV[10])
  redis.call('HSET', key, 'p', whole(paused))
  -- A new chance afterwards, not a pause for the next block.
  clear(blocked)
end
if paused > now then return answer('paused', paused - now) end
if ARGV[3] == '1' then
  if tokens.count > 0 and tokens.used >= tokens.count then return answer('tokens', wait(tokens)) end
  if requests.count > 0 then
    if requests.used >= requests.count then return answer('requests', wait(requests)) end
    add(requests, 0, 1)
  end
end
return answer('ok', 0)
