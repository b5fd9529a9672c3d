import { expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Task } from '../index.js';

const bed = new QueueBed();

/** The error of a task whose handler notes this, by a user with all rights but these. */
async function refusal(rules: readonly string[], note: (task: Task<never>) => void): Promise<string> {
  await bed.admin.call(
    'ACL',
    'SETUSER',
    'app',
    'reset',
    'on',
    '>secret',
    '~tasks',
    '~{tasks}*',
    '&*',
    '+@all',
    ...rules,
  );
  const { queue } = await bed.start({ handlers: { tasks: { run: note, options: { maxAttempts: 1 } } } }, 'app');
  await queue.publish('tasks', 1);
  await until(async () => (await bed.books.letters()).length === 1, { what: 'it is given up' });
  const [letter] = await bed.books.letters();
  return letter?.['error'] ?? '';
}

it('a command that the user may not run fails the attempt, with the command, the key and the fix', async () => {
  const error = await refusal(['-lpush', '-rpush'], (task) => {
    task.onAck([
      ['set', '{tasks}:a', 1],
      ['sadd', '{tasks}:b', 1],
      ['incrby', '{tasks}:c', 1],
      ['rpush', '{tasks}:d', 1],
    ]);
  });
  expect(error).toMatch(
    /^TaskAckRefusedError: task \S+ of queue 'tasks' was not acknowledged.*the user may not run RPUSH of '\{tasks\}:d'\. Grant it with ACL SETUSER; SECURITY\.md/,
  );
  expect(await bed.admin.exists('{tasks}:a', '{tasks}:b', '{tasks}:c', '{tasks}:d')).toBe(0);
});

it('a key that the user may not use fails the attempt', async () => {
  const error = await refusal([], (task) => {
    task.onAck([
      ['set', '{tasks}:a', 1],
      ['set', 'others:{tasks}', 1],
    ]);
  });
  expect(error).toMatch(/NOPERM.*Grant it with ACL SETUSER; SECURITY\.md/);
  expect(await bed.admin.exists('{tasks}:a', 'others:{tasks}')).toBe(0);
});

it('a queue to which the user may not publish fails the attempt', async () => {
  const error = await refusal(['~{tasks}*'], (task) => {
    task.next('others.{tasks}', 1);
  });
  expect(error).toMatch(/NOPERM.*Grant it with ACL SETUSER/);
  expect(await bed.admin.exists('others.{tasks}')).toBe(0);
});
