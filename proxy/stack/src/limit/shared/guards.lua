-- Who is there. A guard says that it is, and hears how many are.
--
-- KEYS[1]  the guards, by when they were last heard of, in milliseconds
-- ARGV[1]  this guard
-- ARGV[2]  after how many milliseconds of silence one is gone
--
-- Returns 1 if this guard was not known, and how many there are.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local new = redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { new, redis.call('ZCARD', KEYS[1]) }
