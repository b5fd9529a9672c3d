import { describe, expect, it } from '@jest/globals';
import { types } from 'node:util';
import fc from 'fast-check';
import type { CacheLoaderError } from '../../libs/cache/cache.errors.js';
import { errorOf, readNote } from '../../libs/cache/loader-failures.js';
import { decode, encode } from '../../libs/cache/codec/codec.js';
import { parseStored, textOf } from '../../libs/cache/store/stored-value.js';
import { inspectionOf } from '../../libs/lock/observe/inspection-of.js';
import { processOf } from '../../libs/lock/store/owner.js';
import { decodeAcquired, decodeHolder } from '../../libs/lock/store/scripts/acquire.reply.js';
import { heartbeatScript } from '../../libs/lock/store/scripts/heartbeat.script.js';
import { inspectScript } from '../../libs/lock/store/scripts/inspect.script.js';
import { delayedInfo, entryInfo, letterInfo } from '../../libs/queue/admin/task-info.js';
import { workerInfo } from '../../libs/queue/admin/worker-info.js';
import { Delivery } from '../../libs/queue/task/delivery.js';
import { frame, unframe, type Link, type SendOptions } from '../../libs/redis/index.js';

/** Pieces of what our records are made of, and of what has broken readers of such records. */
const PIECES = [
  ...[
    '~1',
    '~2',
    '~c',
    '{"~b":',
    '{"~a":',
    '{"~i":',
    '{"~m":',
    '{"~s":',
    '{"~z":',
    '{"~o":',
    '{"~n":',
    '{"~d":',
    '{"~u":0}',
  ],
  ...[
    '"Uint8Array"',
    '"Float64Array"',
    '{"length":',
    '"AAAA"',
    '500000000',
    '"__proto__":',
    '"id":',
    '"baggage":',
    '"deferredMs":',
  ],
  ...[
    '^1 ',
    'epoch',
    ' ',
    '\n',
    '=',
    ':',
    '/',
    '-',
    '.',
    ',',
    '"',
    '[',
    ']',
    '{',
    '}',
    '\\',
    '\\ud800',
    '\ud800',
    'ü',
    '\0',
  ],
  ...[
    '0',
    '1',
    '5',
    '17',
    '1700000000',
    '9007199254740993',
    '-1',
    'nan',
    'inf',
    'NaN',
    'Infinity',
    '0x10',
    '1e309',
    'null',
    'true',
  ],
  ...[
    '9'.repeat(400),
    '['.repeat(300),
    ']'.repeat(300),
    '{"a":'.repeat(300),
    '1:'.repeat(300),
    ' a'.repeat(300),
    '9'.repeat(20_000),
  ],
  ...['host:1:abc-0123456789ab.01234567-1', 'sluice:host:1:abc-0', '1700000000000-0', '18446744073709551615-1'],
];

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.json(),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 40 }).map((pieces) => pieces.join('')),
  fc.tuple(fc.constantFrom('~1', '^1 e 1 1\n', ''), fc.json()).map((parts) => parts.join('')),
);

const RUNS = 500;
/** Of the processor and not of the clock, so that a slow machine counts as little as it can. */
const CPU_MS = 1_000;
const BYTES = 64 * 1024 * 1024;

/** Runs one reader on one record, within its budget of time and memory. */
function read<T>(reader: () => T): T | undefined {
  const { arrayBuffers } = process.memoryUsage();
  const started = process.cpuUsage();
  try {
    return reader();
  } finally {
    const { user } = process.cpuUsage(started);
    expect(user / 1_000).toBeLessThan(CPU_MS);
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(BYTES);
  }
}

/** Whatever a caller may do with the answer: print it, send it, compare its dates. */
function isSound(value: unknown): void {
  if (value instanceof Date) expect(Number.isNaN(value.getTime())).toBe(false);
  else if (typeof value === 'number') expect(Number.isNaN(value)).toBe(false);
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) isSound(part);
}

/** An error that says what is wrong, and not that the stack or the memory was used up. */
function isRefusal(error: unknown): void {
  expect(types.isNativeError(error)).toBe(true);
  expect((error as Error).message).not.toMatch(/call stack|Invalid array length|Array buffer allocation/);
}

const KEYS = { lock: 'l', fence: 'f', holder: 'h', queue: 'q', waiters: 'w' };

/** A server that answers this to any command. */
function answering(reply: unknown): Link {
  const send = (_command: string, _args: unknown, options: SendOptions): Promise<unknown> =>
    Promise.resolve(options.decode?.(reply));
  return { send, slots: { knowsSlots: false } } as unknown as Link;
}

describe('whatever stands in Redis, within a budget', () => {
  it('a value of the cache is read or refused', () => {
    fc.assert(
      fc.property(text, (stored) => {
        try {
          read(() => decode(stored));
        } catch (error) {
          isRefusal(error);
        }
        expect({}).not.toHaveProperty('polluted');
      }),
      { numRuns: RUNS },
    );
  });

  it('what was encoded comes back, and what was changed on the way is read or refused', () => {
    const value = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true });
    fc.assert(
      fc.property(value, fc.nat(), fc.constantFrom(...PIECES), (made, at, piece) => {
        let stored: string;
        try {
          stored = encode(made);
        } catch (error) {
          expect(error).toMatchObject({ code: 'SLUICE_CACHE_UNSERIALIZABLE' });
          return;
        }
        expect(encode(decode(stored))).toBe(stored);
        const cut = at % (stored.length + 1);
        try {
          read(() => decode(stored.slice(0, cut) + piece + stored.slice(cut)));
        } catch (error) {
          isRefusal(error);
        }
      }),
      { numRuns: RUNS },
    );
  });

  it('a stored header and a note of an error are read or none', () => {
    fc.assert(
      fc.property(text, (stored) => {
        isSound(read(() => parseStored(stored)));
        isSound(read(() => textOf(stored)));
        const error = read(() => errorOf('k', readNote(stored)));
        expect(error?.message.length).toBeLessThan(1_500);
        isSound((error as CacheLoaderError | undefined)?.retryAfterMs);
      }),
      { numRuns: RUNS },
    );
  });

  it('a message is its parts or none', () => {
    fc.assert(
      fc.property(text, fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (message, parts) => {
        read(() => unframe(Buffer.from(message)));
        expect(unframe(frame(...parts))).toEqual(parts);
      }),
      { numRuns: RUNS },
    );
  });

  it('an entry is a task or says why not, and can be settled', () => {
    const entry = fc.record({
      id: fc.constantFrom('1700000000000-0', '18446744073709551615-1', '0-1'),
      fields: fc
        .array(
          fc.tuple(
            fc.oneof(
              fc.constantFrom(
                'payload',
                'timestamp',
                'retry_count',
                'meta',
                'original_id',
                'attempts',
                'failed_at',
                'deliveries',
              ),
              text,
            ),
            text,
          ),
        )
        .map((pairs) => pairs.flat()),
    });
    fc.assert(
      fc.property(entry, text, ({ id, fields }, body) => {
        read(() => {
          const delivery = new Delivery('tasks', { id, fields, deliveries: 1 }, 0);
          expect(delivery.task === undefined).toBe(delivery.unreadable !== undefined);
          expect(JSON.parse(delivery.nextMeta({ defers: 1, deferredMs: 1 }))).toMatchObject({ id: delivery.taskId });
          isSound({ ...delivery.failedWith(new Error('x')), thrown: undefined });
          isSound(delivery.task?.publishedAt);
        });
        read(() => {
          isSound({ ...entryInfo('tasks', { id, fields }), payload: 0 });
          isSound({ ...letterInfo('tasks', { id, fields }), payload: 0 });
          isSound({
            ...delayedInfo('tasks', { handle: id, dueMs: Number(body), body: Buffer.from(body) }),
            payload: 0,
          });
          isSound(workerInfo({ consumer: body, group: undefined, pending: 0, leaseMs: 0 }));
        });
      }),
      { numRuns: RUNS },
    );
  });

  it('an answer about a lock is sound', () => {
    const maybe = fc.option(text);
    return fc.assert(
      fc.asyncProperty(
        maybe,
        maybe,
        maybe,
        fc.array(text, { minLength: 3, maxLength: 3 }),
        async (owner, fence, record, waiter) => {
          read(() => {
            isSound(processOf(owner ?? ''));
            isSound(decodeHolder(owner, fence, record));
            isSound(decodeAcquired([0, 1, fence ?? '', '0', owner, fence, record]));
          });
          const held = [owner ?? 'me', fence, record];
          const looked = answering([held, 5, ['1700000000', '5'], 1, waiter]);
          const found = await inspectScript.run(looked, { keys: KEYS, args: {} });
          if (found) isSound(inspectionOf(found));
          const beaten = answering([[5, fence ?? '', '', '', 0, []]]);
          isSound(await heartbeatScript.run(beaten, { keys: {}, args: { inbox: 'i' } }));
        },
      ),
      { numRuns: RUNS },
    );
  });
});
