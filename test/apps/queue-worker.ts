/** A process that handles its queues and writes each run into the ledger. What a task asks for stands in its payload. */
import type { Task } from 'nestjs-sluice/queue';
import { emit, serve } from '../support/app-host.js';
import { History } from '../support/history.js';
import { Ledger } from '../support/ledger.js';
import { startQueueApp } from '../support/queue-app.js';

export interface Work {
  /** How long it takes. */
  ms?: number;
  /** Never ends in the process that gets it first. */
  hangs?: boolean;
  /** Fails after its work, in the processes named here (by `name` of the environment). */
  failsIn?: string;
  /** Fails always. */
  fails?: boolean;
  /** Kills its process. */
  kills?: boolean;
}

const {
  REDIS_URL = '',
  LEDGER = '',
  LEASE_MS,
  DRAIN_MS,
  CONCURRENCY = '10',
  NAME = '',
  QUEUES = 'tasks',
  BACKOFF_MS,
  /** The limit for all named tasks of the queue `files` together. */
  FILES_CONCURRENCY,
  /** Where failures of `tasks` are published. */
  DEAD_LETTER_TO,
  SKEW_MS = '0',
  /** How many tasks run in all processes. */
  FLEET,
  /** How many start per how many milliseconds in all processes: `5/1000`. */
  RATE,
  /** A folder for the history of the runs. */
  HISTORY,
  /** Whether `tasks` has levels of priority. */
  SHARES,
} = process.env;
// The wall clock of this process differs from that of others.
const now = Date.now;
if (SKEW_MS !== '0') Date.now = () => now() + Number(SKEW_MS);

const ledger = new Ledger(LEDGER);
const history = HISTORY === undefined ? undefined : new History(HISTORY);
const [limit, perMs] = (RATE ?? '').split('/').map(Number);

/** Ends what is under way before its time; that of the queue `long` takes its time. */
const underWay = new Set<() => void>();
const work = (ms: number, queue: string): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      underWay.delete(end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (queue !== 'long') underWay.add(end);
  });

/** What a run returns. */
export interface Worked {
  pid: number;
  deliveries: number;
  attempt: number;
}

const run = async (task: Task<Work>): Promise<Worked> => {
  const mark = history?.open(task.stream);
  const { ms, hangs, failsIn, fails, kills } = task.payload;
  emit('started', { id: task.id, queue: task.stream, deliveries: task.deliveries });
  if (kills) process.kill(process.pid, 'SIGKILL');
  if (hangs && task.deliveries === 1 && task.attempt === 1) await new Promise(() => {});
  if (ms) await work(ms, task.stream);
  if (fails || failsIn === NAME) throw new Error('as asked');
  ledger.write(task);
  if (mark !== undefined) history?.close(mark);
  emit('done', { id: task.id, queue: task.stream, deliveries: task.deliveries });
  return { pid: process.pid, deliveries: task.deliveries, attempt: task.attempt };
};
const options = {
  concurrency: { process: Number(CONCURRENCY), ...(FLEET === undefined ? {} : { fleet: Number(FLEET) }) },
  ...(limit === undefined || perMs === undefined ? {} : { rateLimit: { limit, perMs } }),
  ...(BACKOFF_MS === undefined ? {} : { backoff: Number(BACKOFF_MS) }),
  ...(DEAD_LETTER_TO === undefined ? {} : { deadLetterTo: DEAD_LETTER_TO }),
};

const { app } = await startQueueApp({
  url: REDIS_URL,
  handlers: Object.fromEntries(QUEUES.split(',').map((queue) => [queue, { run, options }])),
  queue: {
    ...(LEASE_MS === undefined ? {} : { leaseMs: Number(LEASE_MS) }),
    ...(DRAIN_MS === undefined ? {} : { drainMs: Number(DRAIN_MS) }),
    ...(SHARES === undefined ? {} : { queues: { tasks: { shares: true } } }),
    ...(FILES_CONCURRENCY === undefined ? {} : { handlers: { files: { concurrency: Number(FILES_CONCURRENCY) } } }),
  },
});
serve({
  ops: {
    finish: () => {
      for (const end of underWay) end();
    },
  },
  stop: async () => {
    await app.close();
    ledger.end();
  },
});
