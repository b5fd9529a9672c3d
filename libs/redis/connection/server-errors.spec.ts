import { describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import { ReplyError } from 'ioredis';
import { REDIS_REFUSALS } from '../redis.errors.js';
import { cleanError, isServerError, refusalOf, replyText } from './server-errors.js';

const reply = (text: string): Error => new (ReplyError as new (text: string) => Error)(text);

describe('isServerError', () => {
  const system = (text: string, code: string): Error => Object.assign(new Error(text), { code });

  it.each<[string, Error, boolean]>([
    ['a reply', reply('WRONGTYPE Operation against a key'), true],
    ['a reply of a script in words of its own', reply('my words'), true],
    ['a reply of another copy of ioredis', new Error('NOSCRIPT No matching script'), true],
    ['a socket that was refused', system('connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'), false],
    ['a system error in capitals', system('EPIPE', 'EPIPE'), false],
    ['a client that was closed', new Error('Connection is closed.'), false],
  ])('%s', (_, error, expected) => {
    expect(isServerError(error)).toBe(expected);
  });
});

describe('refusalOf', () => {
  it.each(REDIS_REFUSALS)('%s passes, and nothing ran', (refusal) => {
    expect(refusalOf(`${refusal} in the words of some server: instance state changed (master -> replica?)`)).toEqual({
      refusal,
      outcome: 'not-sent',
    });
  });

  it.each([
    "ERR The user executing the script can't run this command or subcommand script: a, on @user_script:1.",
    'NOPERM ACL failure in script: User app has no permissions to run the publish command',
    'ERR ACL failure in script: No permissions to access a channel script: a, on @user_script:1.',
  ])('%s: part of the script may have run', (text) => {
    expect(refusalOf(text)).toEqual({ refusal: 'NOPERM', outcome: 'unknown' });
  });

  it.each([
    'BUSYGROUP Consumer Group name already exists',
    'BUSYKEY x',
    'NOGROUP x',
    'WRONGTYPE x',
    'ERR syntax error',
    'UNBLOCKED the stream key no longer exists',
  ])('%s is for good', (text) => {
    expect(refusalOf(text)).toBeUndefined();
  });
});

describe('what an error of ioredis says', () => {
  const error = Object.assign(reply("ERR unknown command 'evalsha', with args beginning with: 'SECRET' 'b' "), {
    command: { name: 'evalsha', args: ['SECRET'] },
  });

  it('is told without what was sent', () => {
    expect(replyText(error)).toBe("ERR unknown command 'evalsha'");
    const clean = cleanError(error);
    expect(`${inspect(clean, { depth: 10, showHidden: true })}${JSON.stringify(clean)}`).not.toContain('SECRET');
    expect(clean).toMatchObject({ name: 'ReplyError', message: "ERR unknown command 'evalsha'" });
  });

  it('is told with what the system knows, also of several addresses', () => {
    const each = (address: string): Error => new Error(`connect ECONNREFUSED ${address}:6379`);
    const failed = new AggregateError([each('::1'), each('127.0.0.1')], '');
    expect(cleanError(Object.assign(failed, { code: 'ECONNREFUSED', cert: 'SECRET' }))).toMatchObject({
      message: 'connect ECONNREFUSED ::1:6379, connect ECONNREFUSED 127.0.0.1:6379',
      code: 'ECONNREFUSED',
    });
    expect(cleanError(Object.assign(failed, { cert: 'SECRET' }))).not.toHaveProperty('cert');
  });
});
