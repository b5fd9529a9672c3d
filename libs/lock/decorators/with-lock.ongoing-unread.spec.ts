import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Injectable, StreamableFile } from '@nestjs/common';
import { describe, expect, it, jest } from '@jest/globals';
import { lastValueFrom, NEVER, type Observable } from 'rxjs';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { WithLock } from '../index.js';

const bed = new LockBed();

/** So long that the lock does not expire on a busy machine, where a renewal may be late by half a second. */
const UNREAD_MS = 900;

@Injectable()
class Feed {
  @WithLock('x', { waitMs: 0, ttlMs: UNREAD_MS })
  async short(value: unknown): Promise<unknown> {
    return value;
  }
}

const free = (): Promise<true> =>
  until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'the lock is free', everyMs: 2 });
const isHeld = async (): Promise<boolean> => (await bed.admin.exists('lock:x')) === 1;

describe('a result that nothing reads within ttlMs', () => {
  const late = { code: 'SLUICE_LOCK_LOST', reason: 'abandoned' };

  it('gives the lock back, and a late subscription fails', async () => {
    const svc = await bed.boot(Feed);
    const result = (await svc.short(NEVER)) as Observable<never>;
    expect(await isHeld()).toBe(true);
    await free();
    await expect(lastValueFrom(result)).rejects.toMatchObject(late);
  });

  it('gives the lock back, and a late iteration fails', async () => {
    const svc = await bed.boot(Feed);
    let ended = false;
    const source = (async function* () {
      yield 1;
    })();
    const end = source.return.bind(source);
    source.return = (value) => {
      ended = true;
      return end(value);
    };
    const result = (await svc.short(source)) as AsyncIterable<number>;
    await free();
    await expect(result[Symbol.asyncIterator]().next()).rejects.toMatchObject(late);
    expect(ended).toBe(true);
  });

  it('gives the lock back, and a late reader of the stream fails', async () => {
    const svc = await bed.boot(Feed);
    const file = (await svc.short(new StreamableFile(Buffer.from('x')))) as StreamableFile;
    await free();
    await expect(text(file.getStream())).rejects.toMatchObject(late);
  });

  it('that is a stream which is read slowly, keeps the lock', async () => {
    const svc = await bed.boot(Feed);
    const stream = new PassThrough();
    const chunks = stream.write('a') && stream;
    await svc.short(chunks);
    const from = performance.now();
    stream.once('data', () => stream.pause());
    await until(() => performance.now() - from > UNREAD_MS + 500, { what: 'what is not read is given up' });
    expect(await isHeld()).toBe(true);
    stream.destroy();
    await free();
  });

  it('is reported in the log', async () => {
    const svc = await bed.boot(Feed);
    const warn = jest.spyOn(bed.members.at(-1)!.connections.logger, 'warn').mockReturnValue(undefined);
    await svc.short(NEVER);
    await free();
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('nothing read the Observable'));
  });
});
