import { expect, it } from '@jest/globals';
import type { QueueEvent } from 'nestjs-sluice/queue';
import type { Work } from '../apps/queue-worker.js';
import type { ForkedApp } from '../support/fork-app.js';
import { ForkedBed } from '../support/forked-bed.js';
import { until } from '../support/until.js';

const bed = new ForkedBed();
const start = (app: string): Promise<ForkedApp> => bed.fork({ LEASE_MS: '500', CONCURRENCY: '20' }, app);
type Heard = QueueEvent & { readonly id?: string };
async function listener(): Promise<{ app: ForkedApp; events: Heard[] }> {
  const app = await start('event-listener');
  const events: Heard[] = [];
  app.on('event', (event: Heard) => void events.push(event));
  await app.call('listen');
  return { app, events };
}
const publish = async (work: Work): Promise<string> =>
  String(
    await bed.admin.xadd('tasks', '*', 'payload', JSON.stringify(work), 'timestamp', 1, 'retry_count', 0, 'meta', ''),
  );
const toldOf = (events: readonly Heard[], id: string): string =>
  events
    .filter((event) => event.id === id)
    .map((event) => (event.type === 'started' ? `started ${event.deliveries}` : event.type))
    .join(', ');
/** The processes have learnt that somebody listens. */
const untilTold = (events: readonly Heard[]): Promise<unknown> =>
  until(
    async () => {
      await publish({});
      return events.length > 0;
    },
    { what: 'events are told' },
  );

it('a process that is killed in the middle of a run: listeners learn that another one has begun and ended it', async () => {
  const heard = await listener();
  const first = await start('queue-worker');
  await untilTold(heard.events);
  const id = await publish({ hangs: true });
  await until(() => toldOf(heard.events, id) === 'started 1', { what: 'its start is told' });
  await first.kill();
  const second = await start('queue-worker');
  await until(() => toldOf(heard.events, id).endsWith('completed'), { what: 'it is done' });
  expect(toldOf(heard.events, id)).toBe('started 1, started 2, completed');
  const processes = heard.events.filter((event) => event.id === id).map((event) => 'process' in event && event.process);
  expect(new Set(processes).size).toBe(2);
  expect(String(processes[1])).toContain(String(second.pid));
});

it('a listener that is killed: after its time nothing is sent any more, and the tasks go on', async () => {
  const heard = await listener();
  await start('queue-worker');
  await untilTold(heard.events);
  await heard.app.kill();
  expect(await bed.admin.pttl('{tasks}:~observed')).toBeGreaterThan(0);
  await until(async () => (await bed.admin.exists('{tasks}:~observed')) === 0, { what: 'nobody listens any more' });
  // The worker learns it with its next renewals.
  const sent = bed.admin.duplicate();
  const channels: string[] = [];
  sent.on('pmessage', (_pattern, channel: string) => void channels.push(channel));
  await sent.psubscribe('*~events:*');
  await until(
    async () => {
      const from = channels.length;
      for (let i = 0; i < 10; i++) await publish({});
      await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'all have run' });
      return channels.length === from;
    },
    { what: 'nothing is told' },
  );
  sent.disconnect();
});

it('a listener that is frozen and cut off learns of the gap, and hears the next events', async () => {
  const heard = await listener();
  await start('queue-worker');
  await untilTold(heard.events);
  heard.app.pause();
  await publish({});
  await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'it has run' });
  await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'PUBSUB');
  heard.app.resume();
  await until(() => heard.events.some(({ type }) => type === 'gap'), { what: 'the gap is told' });
  const id = await until(
    async () => {
      const next = await publish({});
      await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'it has run' });
      return toldOf(heard.events, next) !== '' && next;
    },
    { what: 'events are told again' },
  );
  await until(() => toldOf(heard.events, id) === 'started 1, completed', { what: 'its events are told' });
});
