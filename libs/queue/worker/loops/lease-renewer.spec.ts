import { afterEach, expect, it, jest } from '@jest/globals';
import { gate } from '../../../../test/support/gate.js';
import { QueueBed } from '../../../../test/support/queue-bed.js';
import { until } from '../../../../test/support/until.js';
import { Link, frame } from '../../../redis/index.js';
import { leaveScript } from '../../store/scripts/leave.script.js';
import { RENEW_MOST, renewAllScript } from '../../store/scripts/renew-all.script.js';
import { LeaseRenewer } from './lease-renewer.js';

const bed = new QueueBed();
afterEach(() => {
  jest.restoreAllMocks();
});

it('a process leaves after its last renewal, also one that a server without the script gets late', async () => {
  const { app, connections } = await bed.start({ handlers: { tasks: () => {} }, queue: { leaseMs: 600 } });
  const lease = async (): Promise<unknown> => bed.admin.zrange('{tasks}:~alive', '0', '-1');
  await until(async () => (await bed.admin.zcard('{tasks}:~alive')) === 1, { what: 'it has its lease' });
  const [refused, resend] = [gate(), gate()];
  const events: string[] = [];
  const send = Link.prototype.send;
  let isHeld = false;
  jest.spyOn(Link.prototype, 'send').mockImplementation(async function (this: Link, command, args = [], options = {}) {
    const { unknownScript, ...rest } = options;
    if (args[0] === leaveScript.sha) events.push('left');
    if (args[0] !== renewAllScript.sha || unknownScript === undefined || isHeld)
      return send.call(this, command, args, options);
    isHeld = true;
    await bed.admin.script('FLUSH');
    return send.call(this, command, args, {
      ...rest,
      unknownScript: async (sent) => {
        refused.open();
        await resend.opened;
        const reply = await unknownScript(sent);
        events.push('renewed');
        return reply;
      },
    });
  });
  const stop = jest.spyOn(LeaseRenewer.prototype, 'stop');
  await refused.opened;
  const closed = app.close();
  await until(() => stop.mock.calls.length > 0, { what: 'its renewals are to stop' });
  // Time enough for a leave that would not wait.
  for (let trips = 0; trips < 50; trips++) await bed.admin.ping();
  expect(events).toEqual([]);
  resend.open();
  await closed;
  expect(events).toEqual(['renewed', 'left']);
  expect(await lease()).toEqual([]);
  const consumers = (await bed.admin.xinfo('CONSUMERS', 'tasks', 'sluice')) as string[][];
  expect(consumers.map((row) => row[1])).not.toContain(`sluice:${connections.processId}`);
});

it('renews when the lease of another process ends, whatever the rhythm', async () => {
  const { connections } = await bed.start({ handlers: { tasks: () => {} }, queue: { leaseMs: 600_000 } });
  const me = `sluice:${connections.processId}`;
  const ends = async (): Promise<number> => Number(await bed.admin.zscore('{tasks}:~alive', me));
  await until(ends, { what: 'it has its lease' });
  const { channel } = connections.get().inbox;
  const [seconds, micros] = await bed.admin.time();
  const nowMs = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  await bed.admin.zadd('{tasks}:~alive', nowMs + 2_000, 'sluice:other');
  const before = await ends();
  await bed.admin.publish(channel, frame('queue:paused', 'another', '0', '', ''));
  await until(async () => (await ends()) > before, { what: 'it renews, and sees the lease of the other' });
  await until(async () => (await ends()) >= nowMs + 2_000 + 600_000, { what: 'it renews when that lease has ended' });
});

it('sees what is there on one of very many queues, and that it is gone', async () => {
  const logged: string[] = [];
  const queues = Array.from({ length: 2 * RENEW_MOST }, (_, i) => `{q}queue${i}`);
  await bed.start({
    handlers: Object.fromEntries(queues.map((queue) => [queue, () => {}])),
    queue: { leaseMs: 900 },
    logged: (_level, message) => logged.push(message),
  });
  const last = queues.at(-1)!;
  const says = (what: string): Promise<unknown> =>
    until(() => logged.includes(`queue '${last}' ${what}`), { what: `a renewal says that it ${what}` });
  await until(() => bed.admin.exists(`${last}:~alive`), { what: 'the last one has its lease' });
  // By hand, so that no message tells of it.
  await bed.admin.set(`${last}:~paused`, '1');
  await says('is paused');
  await bed.admin.del(`${last}:~paused`);
  await says('goes on');
});

it('finds what is left over on a queue without entries', async () => {
  const { queue } = await bed.start({ handlers: { tasks: () => {} }, queue: { leaseMs: 300 } });
  // From its first task on, the process is one of the consumers.
  await queue.publish('tasks', 1);
  await bed.untilSettled();
  const name = 'sluice:host:7:abc-0123456789ab';
  const consumers = async (): Promise<string> => JSON.stringify(await bed.admin.xinfo('CONSUMERS', 'tasks', 'sluice'));
  await bed.admin.xgroup('CREATECONSUMER', 'tasks', 'sluice', name);
  await until(async () => !(await consumers()).includes(name), { what: 'the consumer that is nobody is gone' });
});

it('renews the lease of a queue that is opened when others have theirs', async () => {
  await bed.admin.set('late', 'no stream');
  const { connections } = await bed.start({ handlers: { tasks: () => {}, late: () => {} }, queue: { leaseMs: 300 } });
  const ends = async (queue: string): Promise<number> =>
    Number(await bed.admin.zscore(`{${queue}}:~alive`, `sluice:${connections.processId}`));
  const untilLater = async (queue: string): Promise<void> => {
    const before = await ends(queue);
    await until(async () => (await ends(queue)) > before, { what: `the lease on ${queue} is there, or is renewed` });
  };
  for (let times = 0; times < 3; times++) await untilLater('tasks');
  await bed.admin.del('late');
  for (let times = 0; times < 3; times++) await untilLater('late');
});
