import { expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Task } from '../index.js';
import { consumerName } from '../store/queue.keys.js';

const bed = new QueueBed();
const LONG_MS = 3_600_000;

it('a task whose permission was lost with its reply starts only by a permission of its own', async () => {
  const started: [payload: number, deliveries: number][] = [];
  const run = ({ payload, deliveries }: Task<number>): void => void started.push([payload, deliveries]);
  const options = { rateLimit: { limit: 1, perMs: LONG_MS } };
  const { queue, connections } = await bed.start({
    handlers: { tasks: { run, options } },
    queue: { leaseMs: 300 },
  });
  await queue.pause('tasks');
  await queue.publishMany('tasks', [1, 2]);
  const me = consumerName(connections.processId);
  await bed.admin.xreadgroup('GROUP', 'sluice', me, 'COUNT', 2, 'STREAMS', 'tasks', '>');
  await queue.resume('tasks');
  await until(() => started.length === 1, { what: 'one starts' });
  await until(async () => (await queue.counts('tasks')).running === 0, { what: 'the other one is returned' });
  expect(started).toEqual([[1, 1]]);
  expect(await queue.counts('tasks')).toMatchObject({ waiting: 1 });
});

it('the tasks of a dead process are taken over within the limits', async () => {
  const started: number[] = [];
  let [running, most] = [0, 0];
  let end = (): void => {};
  const run = async ({ payload }: Task<number>): Promise<void> => {
    started.push(payload);
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => (end = resolve));
    running--;
  };
  await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
  for (const n of [1, 2, 3]) await bed.admin.xadd('tasks', '*', 'payload', String(n));
  await bed.admin.xreadgroup('GROUP', 'sluice', consumerName('dead'), 'COUNT', 3, 'STREAMS', 'tasks', '>');
  await bed.start({
    handlers: { tasks: { run, options: { concurrency: { process: 5, fleet: 1 } } } },
    queue: { leaseMs: 300 },
  });
  await until(
    () => {
      end();
      return started.length === 3 && running === 0;
    },
    { what: 'all have run' },
  );
  expect(most).toBe(1);
  expect(started).toEqual([1, 2, 3]);
});
