import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../test/support/queue-bed.js';
import { startQueueApp, type QueueApp } from '../../test/support/queue-app.js';
import { until } from '../../test/support/until.js';

const bed = new QueueBed();
let apps: QueueApp[] = [];
beforeEach(() => {
  apps = [];
});
afterEach(() => Promise.all(apps.map(({ app }) => app.close())));

/** The default of `ACL SETUSER` since Redis 7: all commands and keys, no channel. */
async function withoutChannels(handler: () => void): Promise<QueueApp> {
  await bed.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'resetchannels');
  const url = bed.redis.url.replace('redis://', 'redis://app:secret@');
  const app = await startQueueApp({ url, handlers: { tasks: handler }, queue: { leaseMs: 500 } });
  apps.push(app);
  return app;
}

describe('a user of Redis without rights on channels', () => {
  it('publishes, pauses and resumes: what was written is not reported as refused', async () => {
    let runs = 0;
    const { queue } = await withoutChannels(() => {
      runs++;
    });
    await queue.publish('tasks', 1, { delayMs: 100 });
    await until(() => runs === 1, { what: 'the delayed task runs' });
    await until(async () => (await queue.workers('tasks')).length === 1, { what: 'it holds a lease' });
    const [worker] = await queue.workers('tasks');
    expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [worker?.consumer] });
    await until(async () => (await queue.counts('tasks')).paused, { what: 'it is paused' });
    expect(await queue.resume('tasks')).toBe(true);
    await queue.publish('tasks', 2);
    await until(() => runs === 2, { what: 'it goes on' });
  });
});
