import { defineFragment, lua } from '../../../redis/index.js';

/** `now`: the server's clock in milliseconds. 13 digits, exact in a double. */
export const NOW = defineFragment({
  name: 'now',
  lua: lua`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`,
});
