import { describe, expect, it } from '@jest/globals';
import { describeError } from './describe-error.js';

const text = (thrown: unknown): string => describeError(thrown).error.toString();

describe('describeError', () => {
  it('names the causes of an error with their codes, as of a fetch that was refused', async () => {
    const error: unknown = await fetch('http://127.0.0.1:1/').catch((thrown: unknown) => thrown);
    expect(text(error)).toMatch(/^TypeError: fetch failed; \[cause\] .*/);
    const refused = Object.assign(new Error(''), { code: 'ECONNREFUSED' });
    expect(text(new Error('fetch failed', { cause: refused }))).toBe(
      'Error: fetch failed; [cause] Error:  (ECONNREFUSED)',
    );
  });

  it('names the errors of an AggregateError without a message', () => {
    const error = new AggregateError([new Error('a'), 'b', new Error('c'), new Error('d')]);
    expect(text(error)).toBe('AggregateError:  [Error: a; b; Error: c; 1 more]');
  });

  it('keeps the message of an error whose stack is no text, or whose other parts cannot be read', () => {
    const odd = Object.defineProperty(new Error('kept'), 'code', {
      get: () => {
        throw new Error('no');
      },
    });
    Object.defineProperty(odd, 'stack', { value: 7 });
    expect(text(odd)).toBe('Error: kept');
    expect(describeError(odd).stack.toString()).toBe('');
  });

  it('ends, whatever the causes are', () => {
    const loop = new Error('loop');
    loop.cause = loop;
    expect(text(loop).split('[cause]')).toHaveLength(6);
    expect(describeError(new Error('x'.repeat(9_000), { cause: new Error('y') })).error).toHaveLength(1_024);
    const { proxy, revoke } = Proxy.revocable(new Error('gone'), {});
    revoke();
    expect(text(proxy)).toBe('something that cannot be shown was thrown');
  });

  it('tells a few facts of what is no error, and never its values', () => {
    const http = {
      status: 401,
      code: 'EAUTH',
      config: { headers: { Authorization: 'Bearer SECRET' } },
      data: 'SECRET',
    };
    expect(text(http)).toBe(
      "an object that is no error (code: 'EAUTH'; status: 401; keys: status, code, config, data)",
    );
    expect(text(new Error('failed', { cause: http }))).toBe(`Error: failed; [cause] ${text(http)}`);
    expect(text({ message: { nested: 'SECRET' }, toString: () => 'SECRET' })).not.toContain('SECRET');
    expect(text(['SECRET', 'SECRET'])).toBe('an array of 2');
    expect(text(Buffer.from('SECRET'))).not.toContain('SECRET');
    expect(text(new Map([['key', 'SECRET']]))).not.toContain('SECRET');
    const odd = {
      get status(): number {
        throw new Error('SECRET');
      },
    };
    expect(text(odd)).toBe('something that cannot be shown was thrown');
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`k${n}`, 'SECRET']));
    expect(text(many)).toMatch(/k19, 99980 more\)$/);
    expect([text(7), text(undefined), text(null), text(() => 'SECRET')]).toEqual([
      '7',
      'undefined',
      'null',
      'a function',
    ]);
  });
});
