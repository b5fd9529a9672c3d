/** One process of a fleet that works on a queue. */
import { Injectable } from '@nestjs/common';
import { TaskHandler } from 'nestjs-sluice';
import { serve } from '../../test/support/app-host.js';
import { startApp } from './app.js';
import { QUEUE_PEERS, type QueuePeerName } from './peers/queues.js';
import { Gate, Tasks } from './queue.worker.js';

export interface WorkOrder {
  contender: 'sluice' | QueuePeerName;
  /** A peer's queue. */
  name: string;
  concurrency?: number;
  /** Handlers begin, and end once the gate is opened. */
  shut: boolean;
}

const url = process.env['REDIS_URL'] ?? '';
const gate = new Gate();

@Injectable()
class MemberWorker {
  @TaskHandler(Tasks)
  async handle(): Promise<void> {
    await gate.pass();
  }
}

async function work({ name, contender, concurrency, shut }: WorkOrder): Promise<void> {
  if (shut) gate.shut();
  if (contender === 'sluice') {
    await startApp(url, { queue: concurrency === undefined ? {} : { concurrency } }, [MemberWorker]);
    return;
  }
  const queue = await QUEUE_PEERS[contender](url, name);
  await queue.consume(concurrency ?? 1, gate.pass);
}

serve({
  ops: {
    work,
    handled: () => gate.handled,
    open: () => {
      gate.open();
    },
  },
});
