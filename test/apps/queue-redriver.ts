/** A process that brings dead letters back to work. */
import { serve } from '../support/app-host.js';
import { startQueueApp } from '../support/queue-app.js';

const { REDIS_URL = '', PER_SECOND = '' } = process.env;
const { app, queue } = await startQueueApp({ url: REDIS_URL });
serve({
  ops: { redrive: () => queue.dead('tasks').redrive({ perSecond: Number(PER_SECOND) }) },
  stop: () => app.close(),
});
