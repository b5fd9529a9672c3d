import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { defineQueue, type QueueService, type SettledTasks, type StandardSchema } from '../index.js';

const bed = new QueueBed();
const Tasks = defineQueue<string>('tasks');
const Settled = defineQueue<SettledTasks<string>>('{tasks}.settled');
const whenAllSettled = { queue: Settled, payload: 'all' };

describe('whenAllSettled is refused', () => {
  const refused = async (queue: QueueService, options: object, error: object): Promise<void> => {
    await expect(queue.publishMany(Tasks, ['a'], options)).rejects.toMatchObject(error);
    expect(await bed.admin.exists('tasks')).toBe(0);
  };
  const all = (given: object) => ({ whenAllSettled: given });

  it.each<[string, object, string, string]>([
    ['another slot', all({ queue: 'settled', payload: 1 }), 'SLUICE_CROSS_SLOT', "'{tasks}.settled'"],
    ['no queue', all({ payload: 1 }), 'SLUICE_BAD_OPTION', 'publishMany: whenAllSettled.queue must be given'],
    ['no payload', all({ queue: Settled }), 'SLUICE_QUEUE_UNSERIALIZABLE', 'whenAllSettled.payload'],
    ['another option', all({ queue: Settled, payload: 1, delayMs: 1 }), 'SLUICE_BAD_OPTION', 'whenAllSettled.delayMs'],
    ['no object', { whenAllSettled: true }, 'SLUICE_BAD_OPTION', 'publishMany: whenAllSettled must be'],
    [
      'options of each task',
      () => ({ whenAllSettled }),
      'SLUICE_BAD_OPTION',
      'publishMany: options of payloads[0].whenAllSettled is not an option',
    ],
  ])('for %s', async (_, options, code, message) => {
    const { queue } = await bed.start({});
    await refused(queue, options, { code, message: expect.stringContaining(message) });
  });

  it('for a payload that the schema of the other queue refuses', async () => {
    const schema: StandardSchema<SettledTasks<string>> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) =>
          (value as SettledTasks).payload === 'good' ? { value: value as never } : { issues: [{ message: 'bad' }] },
      },
    };
    const { queue } = await bed.start({});
    const Checked = defineQueue('{tasks}.checked', { schema });
    await refused(queue, all({ queue: Checked, payload: 'x' }), { code: 'SLUICE_QUEUE_INVALID_PAYLOAD' });
    await queue.publishMany(Tasks, ['a'], { whenAllSettled: { queue: Checked, payload: 'good' } });
  });

  it('for a payload that lies as deep as one may, for the counts are beside it', async () => {
    const { queue } = await bed.start({});
    const deep = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
    await refused(queue, all({ queue: Settled, payload: deep(200) }), { code: 'SLUICE_QUEUE_UNSERIALIZABLE' });
    await queue.publishMany(Tasks, ['a'], { whenAllSettled: { queue: Settled.name, payload: deep(199) } });
  });

  it('for a queue that several groups read, or that has a maxLength', async () => {
    for (const group of ['one', 'two']) await bed.admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    await expect(queue.publishMany(Tasks, ['a'], { whenAllSettled })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining("Queue 'tasks' is read by 'one', 'two'"),
    });
    expect(await bed.admin.xlen('tasks')).toBe(0);
    const Limited = defineQueue<string>('tasks', { maxLength: { limit: 10 } });
    await expect(queue.publishMany(Limited, ['a'], { whenAllSettled })).rejects.toThrow('with a maxLength');
  });
});
