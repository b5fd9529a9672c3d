/** One process of a fleet that works on a queue. */
import { Injectable } from '@nestjs/common';
import { TaskHandler } from 'nestjs-sluice';
import { emit, serve } from '../../test/support/app-host.js';
import { startApp } from './app.js';
import { QUEUE_PEERS, type QueuePeerName } from './peers/queues.js';
import { Gate, Tasks } from './queue.worker.js';

export interface WorkOrder {
  contender: 'sluice' | QueuePeerName;
  concurrency?: number;
  /** Handlers begin and never end. */
  stuck: boolean;
}

const url = process.env['REDIS_URL'] ?? '';
const gate = new Gate();

async function handle(): Promise<void> {
  const passed = gate.pass();
  emit('handled', gate.handled);
  await passed;
}

@Injectable()
class MemberWorker {
  @TaskHandler(Tasks)
  async handle(): Promise<void> {
    await handle();
  }
}

async function work({ contender, concurrency, stuck }: WorkOrder): Promise<void> {
  if (stuck) gate.shut();
  if (contender === 'sluice') {
    await startApp(url, { queue: concurrency === undefined ? {} : { concurrency } }, [MemberWorker]);
    return;
  }
  const queue = await QUEUE_PEERS[contender](url, `recovery-${contender}`);
  await queue.consume(concurrency ?? 1, handle);
}

serve({
  ops: {
    work,
    shut: () => {
      gate.shut();
    },
    open: () => {
      gate.open();
    },
  },
});
