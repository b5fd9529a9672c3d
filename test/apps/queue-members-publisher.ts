/** A process that publishes many tasks after which another one is to follow. */
import { serve } from '../support/app-host.js';
import { startQueueApp } from '../support/queue-app.js';

const { REDIS_URL = '' } = process.env;
const { app, queue } = await startQueueApp({ url: REDIS_URL });

serve({
  ops: {
    publish: async (count: number): Promise<number> => {
      const whenAllSettled = { queue: '{tasks}.settled', payload: 'all' };
      return (await queue.publishMany('tasks', new Array<object>(count).fill({}), { whenAllSettled })).length;
    },
  },
  stop: () => app.close(),
});
