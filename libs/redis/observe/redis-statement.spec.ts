import { describe, expect, it } from '@jest/globals';
import { redisStatement } from './redis-statement.js';

const SHA = 'a'.repeat(40);

describe('redisStatement', () => {
  it.each<[string, unknown[], string]>([
    ['EVALSHA', [SHA, 2, '{c}:k', '{c}:l', 'SECRET', 7], `evalsha ${SHA} 2 {c}:k {c}:l [2 other arguments]`],
    ['evalsha', [SHA, '0', 'SECRET'], `evalsha ${SHA} 0 [1 other arguments]`],
    ['evalsha', [SHA, '99', 'k'], `evalsha ${SHA} 1 k`],
    ['eval', ["return 'SECRET'", 1, 'k', Buffer.from('SECRET')], 'eval [script] 1 k [1 other arguments]'],
    ['set', ['k', 'SECRET', 'PX', 7], 'set k [3 other arguments]'],
    ['xadd', [Buffer.from('tasks'), '*', 'payload', 'SECRET'], 'xadd tasks [3 other arguments]'],
    ['get', ['k'], 'get k'],
    ['ping', [], 'ping'],
    ['HELLO', ['3', 'AUTH', 'default', 'SECRET'], 'hello [4 other arguments]'],
    ['auth', ['SECRET'], 'auth [1 other arguments]'],
    ['get', ['k'.repeat(200)], `get ${'k'.repeat(100)}…`],
    ['mset', [{ k: 'SECRET' }], 'mset ?'],
  ])('tells of %s %j no value', (command, args, expected) => {
    expect(redisStatement(command, args)).toBe(expected);
  });
});
