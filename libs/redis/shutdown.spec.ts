import { expect, it } from '@jest/globals';
import { Shutdown } from './shutdown.js';

it('drains before it closes, each once, whatever fails', async () => {
  const errors: unknown[] = [];
  const ran: string[] = [];
  const shutdown = new Shutdown((error) => errors.push(error));
  shutdown.onClose(() => void ran.push('close'));
  shutdown.onDrain(() => {
    throw new Error('a drain');
  });
  shutdown.onDrain(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    ran.push('drain');
  });
  await Promise.all([shutdown.close(), shutdown.drain(), shutdown.close()]);
  expect(ran).toEqual(['drain', 'close']);
  expect(errors).toEqual([new Error('a drain')]);
});

it('drains what begins when all else has drained: an app may be closed while it boots', async () => {
  const errors: unknown[] = [];
  const shutdown = new Shutdown((error) => errors.push(error));
  const done: string[] = [];
  shutdown.onClose(() => void done.push('closed'));
  await shutdown.drain();
  shutdown.onDrain(() => void done.push('drained'));
  await shutdown.close();
  expect(done).toEqual(['drained', 'closed']);
  expect(errors).toEqual([]);
});
