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
    call: (work: Work, timeoutMs: number): void => {
      queue.publishAndWait(Tasks, work, { timeoutMs }).then(
        (worked) => {
          emit('ended', worked);
        },
        (error: unknown) => {
          emit('ended', { code: (error as { code?: string }).code });
        },
      );
    },
  },
  stop: () => app.close(),
});
