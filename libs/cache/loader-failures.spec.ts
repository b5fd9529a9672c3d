import { HttpException, NotFoundException, ServiceUnavailableException } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../test/support/cache-bed.js';
import { HeldLoader } from '../../test/support/cache-member.js';
import { commandDelta } from '../../test/support/command-delta.js';
import { CacheLoaderError } from './cache.errors.js';
import { errorOf, failureOf, readNote } from './loader-failures.js';

const bed = new CacheBed();
const LEASE = '{cache}~lease:k';
const code = (name: string) => expect.objectContaining({ code: name });
const thrownBy = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

class NoSuchUser extends Error {}

describe('an error that is an answer', () => {
  it('keeps its status and response everywhere, and nobody backs off', async () => {
    const [loader, other] = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const own = loader.cache.getOrLoad('k', source.load);
    const run = await source.run();
    const waiting = thrownBy(other.cache.getOrLoad('k', source.load));
    const byHand = await other.cache.lease('k');
    await bed.waiters(2);
    const missing = new NotFoundException('no user 7');
    run.fail(missing);
    await expect(own).rejects.toBe(missing);
    const told = (await waiting) as HttpException;
    expect(told).toBeInstanceOf(HttpException);
    expect(told).toMatchObject({ name: 'NotFoundException', message: 'no user 7' });
    expect(told.getStatus()).toBe(404);
    expect(told.getResponse()).toEqual(missing.getResponse());
    expect(told.cause).toBeInstanceOf(CacheLoaderError);
    if (byHand.state !== 'wait') throw new Error(`it is ${byHand.state}`);
    expect(((await thrownBy(byHand.wait())) as HttpException).getStatus()).toBe(404);
    expect(await bed.admin.exists(LEASE)).toBe(0);
    for (const [n, { cache }] of [loader, other].entries()) {
      const again = cache.getOrLoad('k', source.load);
      (await source.run(n + 2)).fail(missing);
      await expect(again).rejects.toBe(missing);
    }
  });

  it.each([
    ['an HttpException from 500 on', new ServiceUnavailableException('busy')],
    ['any other error', new NoSuchUser('no user 7')],
  ])('is by default not %s', async (_, error) => {
    const [loader, other] = [await bed.member({ errorBackoffMs: 600_000 }), await bed.member()];
    const fails = (): never => {
      throw error;
    };
    await expect(loader.cache.getOrLoad('k', fails)).rejects.toBe(error);
    const told = await thrownBy(other.cache.getOrLoad('k', () => 'v'));
    expect(told).toBeInstanceOf(CacheLoaderError);
    expect(told).toMatchObject({ loader: { name: error.name, message: error.message } });
    expect(told).not.toBeInstanceOf(HttpException);
    await expect(loader.cache.getOrLoad('k', () => 'v')).rejects.toBe(error);
  });

  it('is what `answers` says, in a call, for the module, and for a load by hand', async () => {
    const answers = (error: unknown): boolean => error instanceof NoSuchUser;
    const [a, b] = [
      await bed.member({ answers, errorBackoffMs: 600_000 }),
      await bed.member({ errorBackoffMs: 600_000 }),
    ];
    const fails = (): never => {
      throw new NoSuchUser('no user');
    };
    await expect(a.cache.getOrLoad('module', fails)).rejects.toBeInstanceOf(NoSuchUser);
    expect(await a.cache.getOrLoad('module', () => 'v')).toBe('v');
    await expect(b.cache.getOrLoad('call', fails, { answers })).rejects.toBeInstanceOf(NoSuchUser);
    expect(await b.cache.getOrLoad('call', () => 'v')).toBe('v');
    const load = await b.cache.lease('hand', { answers });
    if (load.state !== 'load') throw new Error(`it is ${load.state}`);
    await load.fail(new NoSuchUser());
    expect(await b.cache.getOrLoad('hand', () => 'v')).toBe('v');
    const missing = (): never => {
      throw new NotFoundException();
    };
    await expect(a.cache.getOrLoad('http', missing)).rejects.toBeInstanceOf(NotFoundException);
    await expect(b.cache.getOrLoad('http', () => 'v')).rejects.toEqual(code('SLUICE_CACHE_LOADER_FAILED'));
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('in answers');
      },
    ],
    ['answers with a promise', () => Promise.reject(new Error('late'))],
    ['answers with no boolean', () => 1],
  ])('is none where `answers` %s: its caller still gets it, and the log says what is wrong', async (_, answers) => {
    const { cache, connections } = await bed.member({ errorBackoffMs: 600_000 });
    const lines: string[] = [];
    connections.logger.warn = (line: unknown) => lines.push(String(line));
    const error = new Error('mine');
    const options = { answers: answers as () => boolean };
    await expect(cache.getOrLoad('k', () => Promise.reject(error), options)).rejects.toBe(error);
    expect(lines).toEqual([expect.stringContaining("answers of 'k'")]);
    expect(await bed.admin.hget(LEASE, 'error')).toContain('"mine"');
  });

  it('costs no command more than any error', async () => {
    const { cache } = await bed.member();
    const fails = (): never => {
      throw new NotFoundException();
    };
    await thrownBy(cache.getOrLoad('k', fails));
    const spent = await commandDelta(bed.admin, () => thrownBy(cache.getOrLoad('k', fails)));
    expect(spent.calls['evalsha']).toBe(2);
  });
});

describe('the error of a loader', () => {
  it('is the very one in its process for the back-off, also for callers with other options, and for no other key', async () => {
    const [a, b] = [await bed.member({ errorBackoffMs: 600_000 }), await bed.member()];
    const error = new Error('mine');
    await expect(a.cache.getOrLoad('k', () => Promise.reject(error))).rejects.toBe(error);
    await expect(a.cache.getOrLoad('k', () => 'v', { staleMs: 5, consistency: 'strict' })).rejects.toBe(error);
    await expect(a.cache.lease('k')).rejects.toBe(error);
    await expect(b.cache.getOrLoad('k', () => 'v')).rejects.toEqual(code('SLUICE_CACHE_LOADER_FAILED'));
    // A note that names the load of another key.
    await bed.admin.copy(LEASE, '{cache}~lease:other');
    await expect(a.cache.getOrLoad('other', () => 'v')).rejects.toEqual(code('SLUICE_CACHE_LOADER_FAILED'));
  });

  it('travels without what is too long, or no data', () => {
    const huge = new HttpException({ list: 'x'.repeat(10_000) }, 400);
    expect(failureOf(huge).http).toEqual({ status: 400 });
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    expect(failureOf(new HttpException(cyclic, 400)).http).toBe(undefined);
    const strange = { getStatus: () => 'x', getResponse: () => 1 };
    expect(failureOf(Object.assign(new Error('m'), strange)).http).toBe(undefined);
  });

  it.each(['', '{}', 'null', '{"http":1,"answer":true}', '{"http":{"status":9999},"answer":true}'])(
    'that Redis notes as %s is an error all the same',
    (note) => {
      expect(errorOf('k', readNote(note))).toBeInstanceOf(CacheLoaderError);
    },
  );
});
