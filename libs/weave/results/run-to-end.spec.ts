import { PassThrough, Readable } from 'node:stream';
import { StreamableFile } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { EMPTY, NEVER, Observable, of, throwError } from 'rxjs';
import { runToEnd } from '../index.js';

const site = 'Orders.process (@TaskHandler)';
const failure = new TypeError('sold out');
async function* values(...all: unknown[]): AsyncGenerator {
  for (const each of all) yield await Promise.resolve(each);
}

/** The Observable protocol, as other libraries speak it. */
const foreign = {
  subscribe: () => {
    throw new Error('a store takes a listener here');
  },
  '@@observable': () => ({
    subscribe: (observer: { next(value: unknown): void; complete(): void }) => {
      observer.next('foreign');
      observer.complete();
      return { unsubscribe: () => {} };
    },
  }),
};

describe('runToEnd', () => {
  it.each<[string, unknown, unknown]>([
    ['a value', 1, 1],
    ['an array', [1], [1]],
    ['an Observable', of(1, 2), 2],
    ['one without a value', EMPTY, undefined],
    ['one of another library', foreign, 'foreign'],
    ['a generator', values(1, 2), 2],
    ['one without a value', values(), undefined],
    ['a stream', Readable.from(['a', 'b']), undefined],
    ['a web stream', Readable.toWeb(Readable.from(['a'])), undefined],
    ['a file', new StreamableFile(Buffer.from('x')), undefined],
  ])('resolves to the last value: %s', async (_name, value, last) => {
    expect(await runToEnd(value, { site })).toEqual(last);
  });

  it('reads a stream to its end', async () => {
    let read = 0;
    const stream = new Readable({
      read() {
        this.push(++read > 100 ? null : Buffer.alloc(10_000));
      },
    });
    await runToEnd(stream, { site });
    expect(stream.readableEnded).toBe(true);
  });

  it.each<[string, () => unknown]>([
    ['an Observable', () => throwError(() => failure)],
    [
      'a generator',
      async function* () {
        yield await Promise.reject(failure);
      },
    ],
    [
      'a stream',
      () =>
        new Readable({
          read() {
            this.destroy(failure);
          },
        }),
    ],
  ])('rejects with the very error of the result: %s', async (_name, make) => {
    await expect(runToEnd(make(), { site })).rejects.toBe(failure);
  });

  it('ends what goes on when the signal aborts, and rejects with its reason', async () => {
    let unsubscribed = 0;
    let ended = 0;
    const observable = new Observable(() => () => unsubscribed++);
    const iterable = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return: async () => ({ done: true as const, value: ended++ }),
      }),
    };
    const stream = new PassThrough();
    for (const value of [observable, iterable, stream]) {
      const abort = new AbortController();
      const run = runToEnd(value, { site, signal: abort.signal });
      abort.abort(failure);
      await expect(run).rejects.toBe(failure);
      await expect(runToEnd(value, { site, signal: abort.signal })).rejects.toBe(failure);
    }
    expect([unsubscribed, ended, stream.destroyed]).toEqual([1, 1, true]);
  });

  it('refuses other results with `subscribe` or `pipe`', async () => {
    const store = { subscribe: () => {} };
    await expect(runToEnd(store, { site })).rejects.toMatchObject({ code: 'SLUICE_BAD_RESULT' });
    await expect(runToEnd(NEVER.pipe, { site })).resolves.toBe(NEVER.pipe);
  });
});
