import { describe, expect, it } from '@jest/globals';
import { defineFragment, joinLua, lua } from './fragment.js';

const CLOCK = defineFragment({ name: 'clock', lua: lua`local function now() return redis.call('TIME')[1] end` });
const EXPIRE = defineFragment({
  name: 'expire',
  needs: [CLOCK],
  locals: ['key'],
  lua: lua`local function expireAt(at) redis.call('EXPIRE', key, at - now()) end`,
});

describe('defineFragment', () => {
  it('knows what it declares outside of every block', () => {
    const { exported } = defineFragment({
      name: 'all',
      lua: lua`
-- local comment = 1
local a, b = 'local text', "it's"
local function f(parameter, ...)
  local inner = { key = parameter, other = a.field }
  for i, each in ipairs(inner) do local deep = each + i end
  if inner then local deeper = select('#', ...) elseif b then repeat local last = 1 until last end
  return function(more) return more end
end
for i = 1, 2 do local deep = i end
local after = f(a, b)
local _, second = f(1)`,
    });
    expect(exported).toEqual(['a', 'b', 'f', 'after', 'second']);
  });

  it.each([
    ['a missing need', { needs: [] }, 'Lua expire: it uses without a need or a local: now'],
    ['a missing local', { locals: [] }, 'Lua expire: it uses without a need or a local: key'],
    [
      'a local that the text does not use',
      { locals: ['key', 'other'] },
      'Lua expire: it does not use its local: other',
    ],
    ['a need that the text does not use', { needs: [CLOCK, EXPIRE] }, 'Lua expire: it does not use its need: expire'],
    ['a local that a need gives', { locals: ['key', 'now'] }, 'Lua expire: it declares twice: now'],
    ['a local that is named twice', { locals: ['key', 'key'] }, 'Lua expire: it declares twice: key'],
  ])('refuses %s', (_, over, message) => {
    const text = lua`local function expire(at) redis.call('EXPIRE', key, at - now()) end`;
    const define = () => defineFragment({ name: 'expire', needs: [CLOCK], locals: ['key'], lua: text, ...over });
    expect(define).toThrow(new TypeError(message));
  });

  it('refuses a name that a need declares as well', () => {
    const define = () => defineFragment({ name: 'mine', needs: [CLOCK], lua: lua`local now = now()` });
    expect(define).toThrow('Lua mine: it declares twice: now');
  });

  it("refuses a local of a need's function", () => {
    const ring = defineFragment({ name: 'ring', lua: lua`local function f() local hidden = 1 return hidden end` });
    const define = () => defineFragment({ name: 'reader', needs: [ring], lua: lua`local x = f() + hidden` });
    expect(define).toThrow('Lua reader: it uses without a need or a local: hidden');
  });
});

describe('joinLua', () => {
  it('puts each fragment once where it is named, after what it needs', () => {
    const text = joinLua('s', lua`local first = 1 ${EXPIRE}${CLOCK} expireAt(now() + first)`, ['key']);
    expect(text.split('\n')).toEqual(['local first = 1', CLOCK.text, EXPIRE.text, 'expireAt(now() + first)']);
  });

  it.each([
    [
      'a fragment before the local that it expects',
      lua`${EXPIRE} local key = 1 expireAt(2)`,
      [],
      'does not declare before its fragment expire: key',
    ],
    [
      'a fragment whose local nobody declares',
      lua`${EXPIRE} expireAt(2)`,
      [],
      'does not declare before its fragment expire: key',
    ],
    [
      'a local that only another fragment declares',
      lua`${defineFragment({ name: 'key', lua: lua`local key = 1` })}${EXPIRE} expireAt(key)`,
      [],
      'does not declare before its fragment expire: key',
    ],
    ['a name before its fragment', lua`expireAt(2) ${EXPIRE}`, ['key'], 'uses before it is declared: expireAt'],
    ['a name that nobody declares', lua`return oops`, [], 'uses before it is declared: oops'],
    [
      'a name of a fragment that only another fragment names',
      lua`${EXPIRE} expireAt(now())`,
      ['key'],
      'uses before it is declared: now',
    ],
    ['a key of the name of a function', lua`${CLOCK} return now()`, ['now'], 'declares twice: now'],
    [
      'two fragments of one name',
      lua`${CLOCK}${defineFragment({ name: 'clock', lua: lua`local function later() end` })} later(now())`,
      [],
      'has two fragments of the name: clock',
    ],
  ])('refuses %s', (_, text, known, message) => {
    expect(() => joinLua('s', text, known)).toThrow(new TypeError(`Lua s: it ${message}`));
  });
});
