/** A process that publishes tasks and waits for their results. */
import { defineQueue } from 'nestjs-sluice/queue';
import { emit, serve } from '../support/app-host.js';
import { startQueueApp } from '../support/queue-app.js';
import type { Work, Worked } from './queue-worker.js';

const { REDIS_URL = '' } = process.env;
const Tasks = defineQueue<Work>('tasks').returning<Worked>();
const { app, queue } = await startQueueApp({ url: REDIS_URL });

serve({
  ops: {
    /** Tells each outcome when it comes. */
    call: (work: Work, timeoutMs: number, key?: string): void => {
      queue.publishAndWait(Tasks, work, { timeoutMs, ...(key !== undefined && { key }) }).then(
        (worked) => {
          emit('ended', worked);
        },
        (error: unknown) => {
          emit('ended', { code: (error as { code?: string }).code });
        },
      );
    },
    /** Asks for the task of a key so often, one call after the other, `atOnce` at a time. Tells how many calls had no result. */
    join: async (key: string, calls: number, atOnce: number, timeoutMs: number): Promise<number> => {
      let failed = 0;
      const one = async (): Promise<void> => {
        for (let i = 0; i < calls; i++) {
          await queue.publishAndWait(Tasks, { ms: 1 }, { key, timeoutMs }).catch(() => failed++);
        }
      };
      await Promise.all(Array.from({ length: atOnce }, one));
      return failed;
    },
  },
  stop: () => app.close(),
});
