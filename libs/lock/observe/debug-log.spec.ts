import * as util from 'node:util';
import { expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { replaceBuiltin } from '../../../test/support/loaded-sources.js';

const lines: string[] = [];
const log = Object.assign((message: string, ...values: unknown[]) => lines.push(util.format(message, ...values)), {
  enabled: true,
});
// Node reads NODE_DEBUG once, when the process starts.
replaceBuiltin('util', { ...util, debuglog: () => log });
const { LockService } = await import('../index.js');
const { SluiceTestingModule } = await import('../../testing/index.js');

it('says who was granted a lock, waited, was refused, lost it and released it', async () => {
  const app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
  await app.init();
  const locks = app.get(LockService);
  const first = await locks.acquire('x', { owner: 'first' });
  expect(await locks.tryAcquire('x')).toBeNull();
  await expect(locks.acquire('x', { waitMs: 1 })).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
  const next = locks.acquire('x', { owner: 'second' });
  await first.release();
  const second = await next;
  await locks.forceRelease('x');
  expect(second.held).toBe(false);
  await app.close();
  const said = lines.filter((line) => line.includes('x')).map((line) => line.replace(/[\w.-]+:\d+:\S+/g, '<id>'));
  expect(said.map((line) => line.replace(/\d+(\.\d+)? ms/, 'n ms').replace(/token \d+/, 'token n'))).toEqual([
    "'x' is granted to first, token n, after n ms",
    "'x' is refused to <id> it is held, or others wait for it",
    "'x' is held: <id> waits in its queue",
    expect.stringMatching(/^lock 'x' was not free within n ms: held by 'first'/),
    "'x' is released by first after n ms",
    "'x' is held: <id> waits in its queue",
    'test:lock:x was handed over to <id> token n',
    "'x' is granted to second, token n, after n ms",
    "'x' is lost by second after n ms: forced",
    "'x' is taken away from second by forceRelease()",
  ]);
});
