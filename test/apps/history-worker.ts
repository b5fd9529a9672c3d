/** A process whose queue has a history, and which kills itself at the settlement of a task that asks for it, if it is the first one that has it. */
import { existsSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { DeadLetterTask, type Task } from 'nestjs-sluice/queue';
import { emit, serve } from '../support/app-host.js';
import { startQueueApp } from '../support/queue-app.js';
import type { RecordedWork } from '../support/recorded-work.js';

const { REDIS_URL = '', LEDGER = '', LEASE_MS = '300' } = process.env;

/** Each task that asks for it kills one process: whoever has it next finds this file. */
const markOf = (id: string): string => `${LEDGER}.${id}`;
function die(id: string): void {
  writeFileSync(markOf(id), '');
  process.kill(process.pid, 'SIGKILL');
}

/** The tasks at whose settlement this process dies. Nothing else that is written names them. */
const atWrite = new Map<string, 'written' | 'sent'>();
const write = Socket.prototype.write as (...args: unknown[]) => boolean;
Socket.prototype.write = function (this: Socket, ...args: unknown[]): boolean {
  const text = atWrite.size > 0 ? String(args[0]) : '';
  const [id, when] = [...atWrite].find(([each]) => text.includes(each)) ?? [];
  if (id !== undefined && when === 'written') die(id);
  const written = write.apply(this, args);
  // The kernel has it by now, unless the socket is full.
  if (id !== undefined) {
    setImmediate(() => {
      die(id);
    });
  }
  return written;
};

const run = (task: Task<RecordedWork>): string => {
  const { id, payload } = task;
  emit('started', { id });
  if (payload.dies === 'always') process.kill(process.pid, 'SIGKILL');
  if (payload.notes) task.onAck([['sadd', '{tasks}:noted', id]]);
  if ((payload.dies === 'written' || payload.dies === 'sent') && !existsSync(markOf(id))) atWrite.set(id, payload.dies);
  if (payload.fails) throw new DeadLetterTask('as asked');
  return id;
};

const { app } = await startQueueApp({
  url: REDIS_URL,
  handlers: { tasks: { run, options: { concurrency: 4, maxDeliveries: 4 } } },
  queue: {
    leaseMs: Number(LEASE_MS),
    queues: { tasks: { history: { completed: 10_000, failed: 10_000 } } },
  },
});
serve({ ops: {}, stop: () => app.close() });
