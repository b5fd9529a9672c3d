/**
 * A process whose handler notes one write and one task for each acknowledgement, and which kills itself at the step that the task names,
 * if it is the first process that has the task.
 */
import { subscribe } from 'node:diagnostics_channel';
import { existsSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Task } from 'nestjs-sluice/queue';
import { emit, serve } from '../support/app-host.js';
import type { NotedWork } from '../support/noted-work.js';
import { startQueueApp } from '../support/queue-app.js';

const { REDIS_URL = '', LEDGER = '', LEASE_MS = '500' } = process.env;

/** Each task that asks for it kills one process: whoever has it next finds this file. */
const markOf = (id: string): string => `${LEDGER}.${id}`;
function die(id: string): void {
  writeFileSync(markOf(id), '');
  process.kill(process.pid, 'SIGKILL');
}

/** The tasks at whose acknowledgement this process dies. */
const atWrite = new Map<string, 'written' | 'sent'>();
const write = Socket.prototype.write as (...args: unknown[]) => boolean;
Socket.prototype.write = function (this: Socket, ...args: unknown[]): boolean {
  const text = atWrite.size > 0 ? String(args[0]) : '';
  const [id, when] = [...atWrite].find(([each]) => text.includes(`next of ${each}`)) ?? [];
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

let finish = (): void => {};
const finished = new Promise<void>((resolve) => {
  finish = resolve;
});

const run = async (task: Task<NotedWork>): Promise<void> => {
  const { id, deliveries } = task;
  const dies = existsSync(markOf(id)) ? undefined : task.payload.dies;
  emit('started', { id, deliveries });
  if (dies === 'begun') die(id);
  task.onAck([
    ['incrby', '{tasks}:count', 1],
    ['sadd', '{tasks}:ids', id],
  ]);
  task.next('{tasks}.next', `next of ${id}`);
  if (dies === 'noted') die(id);
  if (task.payload.hangs && deliveries === 1) await finished;
  if (dies === 'returned') {
    queueMicrotask(() => {
      die(id);
    });
  }
  if (dies === 'written' || dies === 'sent') atWrite.set(id, dies);
  if (dies === 'answered') {
    subscribe('sluice:queue:completed', (message) => {
      if ((message as { id: string }).id === id) die(id);
    });
  }
};
subscribe('sluice:queue:completed', (message) => {
  emit('completed', (message as { id: string }).id);
});

const { app } = await startQueueApp({
  url: REDIS_URL,
  handlers: { tasks: { run, options: { concurrency: 1, maxDeliveries: 1_000 } } },
  queue: { leaseMs: Number(LEASE_MS) },
});
serve({
  ops: {
    finish: () => {
      finish();
    },
  },
  stop: () => app.close(),
});
