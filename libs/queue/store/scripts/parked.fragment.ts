import { defineFragment, lua } from '../../../redis/index.js';
import { PACED, PARKED } from '../queue.keys.js';

/** `isParked(consumer)`: whether what is pending with it waits for its key: for its turn or a place (`~parked`), or for its rate (`~paced`). */
export const IS_PARKED = defineFragment({
  name: 'is-parked',
  lua: lua`
local function isParked(consumer)
  return consumer == '${PARKED}' or consumer == '${PACED}'
end
`,
});
