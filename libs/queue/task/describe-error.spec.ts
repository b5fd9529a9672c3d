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
});
