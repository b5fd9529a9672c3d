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
