/** A process that listens to the events of a queue. */
import { emit, serve } from '../support/app-host.js';
import { startQueueApp } from '../support/queue-app.js';

const { REDIS_URL = '' } = process.env;
const { app, queue } = await startQueueApp({ url: REDIS_URL });

serve({
  ops: {
    listen: (): void => {
      queue.events('tasks').subscribe((event) => {
        emit('event', event);
      });
    },
  },
  stop: () => app.close(),
});
