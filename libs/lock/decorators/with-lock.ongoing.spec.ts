import { EventEmitter, once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Injectable, StreamableFile } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import {
  BehaviorSubject,
  firstValueFrom,
  isObservable,
  lastValueFrom,
  NEVER,
  Observable,
  of,
  Subject,
  toArray,
} from 'rxjs';
import { LockBed } from '../../../test/support/lock-bed.js';
import { gate } from '../../../test/support/gate.js';
import { until } from '../../../test/support/until.js';
import { currentLock, WithLock } from '../index.js';

const bed = new LockBed();

/** What a class may return from a method that is declared to return anything. */
const untyped = WithLock as (name: string, options?: object) => MethodDecorator;

const failure = new TypeError('sold out');
const subject = { current: new Subject<string>() };
const stream = { current: new PassThrough() };
const seen: unknown[] = [];

@Injectable()
class Feed {
  @WithLock('x', { waitMs: 0 })
  async promised(): Promise<Observable<string>> {
    return new Observable((subscriber) => {
      seen.push(currentLock()?.name);
      return subject.current.subscribe(subscriber);
    });
  }

  @WithLock('x', { waitMs: 0 })
  observed(): Observable<string> {
    seen.push(currentLock()?.name);
    return subject.current;
  }

  @untyped('x', { waitMs: 0 })
  undeclared(value: unknown): unknown {
    return value;
  }

  @WithLock('x', { waitMs: 0 })
  async *rows(count: number): AsyncGenerator<unknown, string> {
    seen.push('begun');
    try {
      for (let i = 0; i < count; i++) yield i === 1 ? currentLock()?.name : i;
      return 'returned';
    } finally {
      seen.push('ended');
    }
  }

  @WithLock('x', { waitMs: 0 })
  iterated(values: AsyncIterable<string>): AsyncIterable<string> {
    return values;
  }

  @WithLock('x', { waitMs: 0 })
  async iterable(values: AsyncIterable<string>): Promise<AsyncIterable<string>> {
    return values;
  }

  @WithLock('x', { waitMs: 0 })
  async file(): Promise<StreamableFile> {
    return new StreamableFile(stream.current);
  }

  @WithLock('x', { waitMs: 0 })
  async stream(): Promise<Readable> {
    return stream.current;
  }

  @WithLock('x', { waitMs: 0 })
  async web(): Promise<ReadableStream> {
    return Readable.toWeb(stream.current) as ReadableStream;
  }

  @WithLock('x', { waitMs: 0, ttlMs: 300 })
  async short(value: unknown): Promise<unknown> {
    return value;
  }
}

const free = (): Promise<true> =>
  until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'the lock is free', everyMs: 2 });
const isHeld = async (): Promise<boolean> => (await bed.admin.exists('lock:x')) === 1;

async function feed(): Promise<Feed> {
  subject.current = new Subject();
  stream.current = new PassThrough();
  seen.length = 0;
  return bed.boot(Feed);
}

describe('a method that returns an Observable', () => {
  it.each(['promised', 'observed'] as const)('holds the lock until it completes: %s', async (method) => {
    const svc = await feed();
    const values: string[] = [];
    const result = method === 'promised' ? await svc.promised() : svc.observed();
    expect(isObservable(result)).toBe(true);
    const done = lastValueFrom(result.pipe(toArray()));
    await until(() => subject.current.observed, { what: 'it is subscribed' });
    expect(seen).toEqual(['x']);
    for (const value of ['a', 'b']) subject.current.next(value);
    await expect(svc.promised()).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
    subject.current.complete();
    values.push(...(await done));
    expect(values).toEqual(['a', 'b']);
    expect(await isHeld()).toBe(false);
  });

  it('holds it until it fails, and fails with that very error', async () => {
    const svc = await feed();
    const done = lastValueFrom(await svc.promised());
    subject.current.error(failure);
    await expect(done).rejects.toBe(failure);
    expect(await isHeld()).toBe(false);
  });

  it('holds it until the last of its subscribers has left', async () => {
    const svc = await feed();
    const result = await svc.promised();
    const [first, second] = [result.subscribe(), result.subscribe()];
    first.unsubscribe();
    expect(await isHeld()).toBe(true);
    second.unsubscribe();
    await free();
    await expect(lastValueFrom(result)).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'released' });
  });

  it('of a declared Observable: takes no lock before it is subscribed to, and one per subscription', async () => {
    const svc = await feed();
    const result = svc.observed();
    expect(seen).toEqual([]);
    subject.current = new BehaviorSubject('now');
    expect(await firstValueFrom(result)).toBe('now');
    await free();
    expect(await firstValueFrom(result)).toBe('now');
    expect(seen).toEqual(['x', 'x']);
  });

  it('gives the lock back when its subscriber leaves while the lock is being taken', async () => {
    const svc = await feed();
    svc.observed().subscribe().unsubscribe();
    await until(() => seen.length === 1, { what: 'the body ran' });
    // Long before the ttlMs of 30 s, in which a result that nothing reads gives its lock back.
    await until(async () => !(await isHeld()), { what: 'the lock is free', deadlineMs: 20_000 });
    expect(subject.current.observed).toBe(false);
  });

  it('stops a source that emits in a loop', async () => {
    const svc = await feed();
    let emitted = 0;
    const loop = new Observable<number>((subscriber) => {
      while (!subscriber.closed) subscriber.next(emitted++);
    });
    const values = (await svc.short(loop)) as Observable<number>;
    expect(await firstValueFrom(values)).toBe(0);
    expect(emitted).toBe(1);
    await free();
  });

  it('fails for its subscribers when the lock is lost', async () => {
    const svc = await feed();
    const done = lastValueFrom(await svc.promised());
    await bed.members.at(-1)!.locks.forceRelease('x');
    await expect(done).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'forced' });
    expect(subject.current.observed).toBe(false);
  });

  it('of an undeclared type can be subscribed to, piped, iterated, and awaited', async () => {
    const svc = await feed();
    const result = svc.undeclared(of('a', 'b')) as Observable<string>;
    expect(await lastValueFrom(result.pipe(toArray()))).toEqual(['a', 'b']);
    await free();
    expect(isObservable(await svc.undeclared(NEVER))).toBe(true);
  });
});

describe('a method that returns an async iterable', () => {
  it('holds the lock from the first value of a generator to its end', async () => {
    const svc = await feed();
    const rows = svc.rows(2);
    expect([seen, await isHeld()]).toEqual([[], false]);
    expect(await rows.next()).toEqual({ done: false, value: 0 });
    expect(await isHeld()).toBe(true);
    expect(await rows.next()).toEqual({ done: false, value: 'x' });
    expect(await rows.next()).toEqual({ done: true, value: 'returned' });
    expect([await isHeld(), seen]).toEqual([false, ['begun', 'ended']]);
  });

  it('gives the lock back when its consumer leaves the loop', async () => {
    const svc = await feed();
    for await (const row of svc.rows(9)) if (row === 'x') break;
    expect([await isHeld(), seen.at(-1)]).toEqual([false, 'ended']);
  });

  it('holds it for each iterator of an iterable that is none itself', async () => {
    const svc = await feed();
    const values: string[] = [];
    const source = { [Symbol.asyncIterator]: () => Readable.from(['a', 'b'])[Symbol.asyncIterator]() };
    for await (const value of svc.iterated(source)) {
      values.push(value);
      expect(await isHeld()).toBe(true);
    }
    expect([values, await isHeld()]).toEqual([['a', 'b'], false]);
  });

  it('rejects the value that its consumer waits for when the lock is lost, and ends the iterator', async () => {
    const svc = await feed();
    const ended = gate();
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return: async () => {
          ended.open();
          return { done: true as const, value: undefined };
        },
      }),
    };
    const next = (await svc.iterable(source))[Symbol.asyncIterator]().next();
    await bed.members.at(-1)!.locks.forceRelease('x');
    await expect(next).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'forced' });
    await ended.opened;
  });
});

describe('a method that returns a stream', () => {
  it.each(['stream', 'file'] as const)('holds the lock until it is closed: %s', async (method) => {
    const svc = await feed();
    await svc[method]();
    const content = text(stream.current);
    stream.current.write('part, ');
    expect(await isHeld()).toBe(true);
    stream.current.end('end');
    expect(await content).toBe('part, end');
    await free();
  });

  it('holds it until it is destroyed', async () => {
    const svc = await feed();
    await svc.stream();
    stream.current.on('error', () => {});
    stream.current.destroy(failure);
    await free();
  });

  it('holds it for a stream that never says that it is closed', async () => {
    const svc = await feed();
    stream.current = new PassThrough({ emitClose: false, autoDestroy: false });
    await svc.stream();
    stream.current.resume().end('x');
    await free();
  });

  it('holds it for a web stream', async () => {
    const svc = await feed();
    const reader = (await svc.web()).getReader();
    stream.current.write('a');
    await reader.read();
    expect(await isHeld()).toBe(true);
    await reader.cancel();
    await free();
  });

  it('destroys it when the lock is lost', async () => {
    const svc = await feed();
    await svc.stream();
    stream.current.resume();
    await bed.members.at(-1)!.locks.forceRelease('x');
    const [error] = (await once(stream.current, 'error')) as [unknown];
    expect(error).toMatchObject({ code: 'SLUICE_LOCK_LOST' });
  });

  it('is closed already: gives the lock back at once', async () => {
    const svc = await feed();
    stream.current.destroy();
    await svc.stream();
    await free();
  });
});

describe('another result with `subscribe` or `pipe`', () => {
  it.each([
    [
      'subscribe',
      Object.assign(new EventEmitter(), { subscribe: () => {} }),
      'an EventEmitter with a subscribe method',
    ],
    ['pipe', { pipe: () => {} }, 'with a pipe method'],
  ])('is refused by an error that names it: %s', async (_name, value, message) => {
    const svc = await feed();
    const refused = svc.short(value);
    await expect(refused).rejects.toMatchObject({ code: 'SLUICE_BAD_RESULT' });
    await expect(refused).rejects.toThrow(`Feed.short (@WithLock) returned`);
    await expect(refused).rejects.toThrow(message);
    expect(await isHeld()).toBe(false);
  });

  it('is refused from the body of withLock', async () => {
    const locks = await bed.service();
    await expect(locks.withLock('x', () => ({ subscribe: () => {} }))).rejects.toThrow("withLock('x') returned");
  });
});

describe('a shutdown', () => {
  it('ends an Observable that is still under its lock', async () => {
    const svc = await feed();
    const done = lastValueFrom(await svc.promised());
    const settled = expect(done).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'closed' });
    await bed.members.pop()!.app.close();
    await settled;
    expect(await isHeld()).toBe(false);
  });
});
