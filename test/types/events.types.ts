/** Compile-only: what the types of events and progress accept and refuse. */
import type { Observable } from 'rxjs';
import { defineQueue, payload, type QueueEvent, type QueueService, type Task } from '../../libs/queue/index.js';
import type { TestingQueue } from '../../libs/testing/index.js';

const Orders = defineQueue<{ readonly id: string }>('orders').returning<number>();
const Files = defineQueue('files', { tasks: { import: payload<string>() } });

export function listening(queue: QueueService, testing: TestingQueue): Observable<QueueEvent>[] {
  queue.events('orders').subscribe((event) => {
    switch (event.type) {
      case 'started':
        return [event.id, event.attempt + event.deliveries, event.at.getTime(), event.name?.length];
      case 'completed':
        return event.ranMs + event.attempt;
      case 'retried':
        return event.delayMs + event.error.length;
      case 'dead':
        return event.reason + event.error;
      case 'gap':
        // @ts-expect-error a gap is about no task
        return String(event.id);
      case 'progress':
        // @ts-expect-error a value may be anything
        return event.value.percent as number;
      default:
        // @ts-expect-error these have no result
        return event.result as number;
    }
  });
  // @ts-expect-error a number is no queue
  queue.events(7);
  return [queue.events(Orders), queue.events(Files), queue.events(Files.tasks.import), testing.events(Orders)];
}

export async function reporting(queue: QueueService, task: Task<string>): Promise<number> {
  task.progress({ percent: 1 });
  task.progress(undefined);
  // @ts-expect-error there has to be a value
  task.progress();
  // @ts-expect-error only the queue sets it
  task.reported = 1;
  await queue.publishAndWait(Orders, { id: '1' }, { onProgress: (value: unknown) => value });
  // @ts-expect-error the value may be anything
  await queue.publishAndWait(Orders, { id: '1' }, { onProgress: (value: number) => value });
  const info = await queue.inspect(Orders, '1');
  // @ts-expect-error the value may be anything
  return info?.progress.percent as number;
}
