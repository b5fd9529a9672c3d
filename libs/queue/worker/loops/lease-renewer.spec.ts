import { afterEach, expect, it, jest } from '@jest/globals';
import { gate } from '../../../../test/support/gate.js';
import { QueueBed } from '../../../../test/support/queue-bed.js';
import { until } from '../../../../test/support/until.js';
import { Link } from '../../../redis/index.js';
import { leaveScript } from '../../store/scripts/leave.script.js';
import { renewScript } from '../../store/scripts/renew.script.js';
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
    if (args[0] !== renewScript.sha || unknownScript === undefined || isHeld)
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
