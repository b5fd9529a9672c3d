/** A process with handlers and nothing to do. */
import { serve } from '../../test/support/app-host.js';
import { handlerProvider } from '../../test/support/queue-app.js';
import { startApp } from './app.js';
import { QUEUE_PEERS } from './peers/queues.js';

export interface IdleOrder {
  contender: 'sluice' | 'bullmq';
  /** Each handles a queue of its own. */
  handlers: number;
}

const url = process.env['REDIS_URL'] ?? '';
const doNothing = async (): Promise<void> => {};

async function work({ contender, handlers }: IdleOrder): Promise<void> {
  const queues = Array.from({ length: handlers }, (_, i) => `queue${i}`);
  if (contender === 'sluice') {
    await startApp(url, {}, [handlerProvider(Object.fromEntries(queues.map((queue) => [queue, doNothing])))]);
    return;
  }
  for (const queue of queues) {
    const worker = await QUEUE_PEERS.bullmq(url, queue);
    await worker.consume(1, doNothing);
  }
}

serve({
  ops: {
    work,
    /** Processor time of this process since it began. */
    cpuSeconds: (): number => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  },
});
