/** Compile-only: what the types of queues, handlers and publishing accept and refuse. */
import { z } from 'zod';
import {
  defineQueue,
  payload,
  TaskHandler,
  TaskSchedule,
  type HandlerOptions,
  type QueueService,
  type SettledTasks,
  type Task,
  type TaskOf,
} from '../../libs/queue/index.js';

interface Order {
  readonly productId: string;
}
const Orders = defineQueue<Order>('orders');
const Mails = defineQueue('mails', { schema: z.object({ at: z.string().transform(Number) }) });

export abstract class Accepted {
  @TaskHandler(Orders)
  sync(task: Task<Order>): string {
    return task.payload.productId;
  }

  @TaskHandler(Orders, { concurrency: { process: 2, fleet: 5 }, rateLimit: { limit: 10, perMs: 1_000 } })
  limited(task: Task<Order>): string {
    return task.payload.productId;
  }

  @TaskHandler(Orders, { concurrency: { fleet: false }, rateLimit: false })
  unlimited(task: Task<Order>): string {
    return task.payload.productId;
  }

  @TaskHandler(Orders, { concurrency: 50, group: 'shop', maxAttempts: 1, maxDeliveries: 2 })
  async lessSpecific(task: Task<object>): Promise<void> {
    await this.use(task);
  }

  @TaskHandler(Orders)
  protected async noTask(): Promise<void> {
    await this.use();
  }

  @TaskHandler('tasks')
  async byName(task: Task<{ n: number }>): Promise<number> {
    await this.use(task);
    return task.payload.n;
  }

  @TaskHandler(Mails)
  async transformed(task: Task<{ at: number }>): Promise<number> {
    await this.use(task);
    return task.payload.at;
  }

  @TaskHandler(Orders, { batch: { max: 100, waitMs: 50 }, concurrency: 2 })
  batch(tasks: readonly Task<Order>[]): string[] {
    return tasks.map((task) => task.payload.productId);
  }

  @TaskHandler('tasks', { batch: { max: 1 } })
  @TaskSchedule('batch', { everyMs: 1_000 }, { payload: { n: 1 } })
  async batchByName(tasks: readonly Task<{ n: number }>[]): Promise<void> {
    await this.use(tasks);
  }

  @TaskHandler(Mails, { batch: { max: 10 } })
  async batchTransformed(tasks: readonly Task<{ at: number }>[]): Promise<void> {
    for (const task of tasks) task.fail(task.payload.at);
    await this.use();
  }

  protected abstract use(task?: unknown): Promise<void>;
}

/** Options in a variable are those of a handler of single tasks. */
const some: HandlerOptions = { concurrency: 1 };
export abstract class AcceptedToo {
  @TaskHandler(Orders, some)
  async fromVariable(task: Task<Order>): Promise<void> {
    await this.use(task);
  }

  protected abstract use(task?: unknown): Promise<void>;
}

export abstract class Refused {
  // @ts-expect-error -- there is no rate by key
  @TaskHandler(Orders, { rateLimit: { limit: 10, perMs: 1_000, by: ({ productId }: Order) => productId } })
  async rateByKey(task: Task<Order>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- a key is found by a path, for a function cannot run in Redis
  @TaskHandler(Orders, { concurrency: { perKey: 1, by: ({ productId }: Order) => productId } })
  async perKey(task: Task<Order>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- another payload than the queue's
  @TaskHandler(Orders)
  async otherPayload(task: Task<{ n: number }>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- the payload, and not the task
  @TaskHandler(Orders)
  async payload(order: Order): Promise<void> {
    await this.use(order);
  }

  // @ts-expect-error -- what the schema takes, and not what it gives
  @TaskHandler(Mails)
  async input(task: Task<{ at: string }>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- more than a task
  @TaskHandler(Orders)
  async twoArguments(task: Task<Order>, note: string): Promise<void> {
    await this.use([task, note]);
  }

  // @ts-expect-error -- no such option
  @TaskHandler('tasks', { retries: 3 })
  async unknownOption(): Promise<void> {
    await this.use();
  }

  protected abstract use(task?: unknown): Promise<void>;
}

export async function publishing(queue: QueueService): Promise<string[]> {
  // @ts-expect-error -- another payload than the queue's
  await queue.publish(Orders, { n: 1 });
  // @ts-expect-error -- one that is none among them
  await queue.publishMany(Orders, [{ productId: 'a' }, 1]);
  // @ts-expect-error -- what the schema gives, and not what it takes
  await queue.publish(Mails, { at: 1 });
  await queue.publishMany(Orders, [{ productId: 'a' }], ({ productId }, index) => ({
    delayMs: productId.length + index,
  }));
  await queue.publishMany('tasks', [1, 2], (n) => ({ delayMs: n, backoff: [1, 2] }));
  const Sent = defineQueue<SettledTasks<{ campaign: number }>>('{orders}.sent');
  const orders = [{ productId: 'a' }];
  await queue.publishMany(Orders, orders, { whenAllSettled: { queue: Sent, payload: { campaign: 1 } }, delayMs: 1 });
  await queue.publishMany(Orders, orders, { whenAllSettled: { queue: '{orders}.sent', payload: 'anything' } });
  // @ts-expect-error -- another payload than that of the queue
  await queue.publishMany(Orders, orders, { whenAllSettled: { queue: Sent, payload: { campaign: 'a' } } });
  // @ts-expect-error -- a queue whose payloads have no counts
  await queue.publishMany(Orders, orders, { whenAllSettled: { queue: Orders, payload: { productId: 'a' } } });
  // @ts-expect-error -- one task is not waited for in this way
  await queue.publish(Orders, { productId: 'a' }, { whenAllSettled: { queue: Sent, payload: { campaign: 1 } } });
  // @ts-expect-error -- a function cannot be sent
  await queue.publish(Orders, { productId: 'a' }, { backoff: () => 1 });
  return [
    await queue.publish(Mails, { at: '1' }),
    await queue.publish(Orders, { productId: 'a' }),
    await queue.publish('tasks', { anything: true }),
    ...(await queue.publishMany(Orders, [{ productId: 'b' }])),
    ...(await queue.publishMany('tasks', [1, 'two'])),
  ];
}

interface Import {
  readonly url: string;
}
const Files = defineQueue('files', {
  tasks: { import: payload<Import>(), export: { schema: z.object({ at: z.string().transform(Number) }) } },
});

export abstract class NamedTasksAccepted {
  @TaskHandler(Files.tasks.import, { concurrency: 5 })
  async import(task: Task<Import>): Promise<void> {
    await this.use(task.payload.url);
  }

  @TaskHandler(Files.tasks.export)
  async export(task: Task<{ at: number }>): Promise<void> {
    await this.use(task.payload.at.toFixed());
  }

  @TaskHandler(Files)
  async narrowed(task: TaskOf<typeof Files>): Promise<void> {
    if (task.name === 'import') await this.use(task.payload.url);
    else await this.use(task.payload.at.toFixed());
  }

  @TaskHandler(Files)
  async notNarrowed(task: Task<Import | { at: number }>): Promise<void> {
    await this.use(task.name);
  }

  protected abstract use(task?: unknown): Promise<void>;
}

export abstract class NamedTasksRefused {
  // @ts-expect-error -- the payload of another name
  @TaskHandler(Files.tasks.export)
  async otherName(task: Task<Import>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- of all names, this is the payload of one
  @TaskHandler(Files)
  async oneOfAll(task: Task<Import>): Promise<void> {
    await this.use(task);
  }

  @TaskHandler(Files)
  async noSuchName(task: TaskOf<typeof Files>): Promise<void> {
    // @ts-expect-error -- no name of the queue
    if (task.name === 'delete') await this.use(task);
  }

  protected abstract use(task?: unknown): Promise<void>;
}

export async function namedTasks(queue: QueueService): Promise<number> {
  await queue.publish(Files.tasks.import, { url: 'a' });
  await queue.publish(Files.tasks.export, { at: '1' });
  // @ts-expect-error -- the payload of another name
  await queue.publish(Files.tasks.import, { at: '1' });
  // @ts-expect-error -- a whole queue is no place to publish to
  await queue.publish(Files, { url: 'a' });
  // @ts-expect-error -- ids are those of one name
  await queue.inspect(Files, '1-1');
  // @ts-expect-error -- no name of the queue
  const none: unknown = Files.tasks.delete;
  const { tasks, waiting } = await queue.counts(Files);
  // @ts-expect-error -- no name of the queue
  const missing: unknown = tasks.delete;
  await queue.pause(Files);
  await queue.dead(Files).redrive({ filter: ({ name }) => name === 'import' });
  // @ts-expect-error -- each named task has a length of its own
  defineQueue('files', { tasks: {}, maxLength: { limit: 1 } });
  // @ts-expect-error -- tasks and schema exclude each other
  defineQueue('files', { tasks: {}, schema: z.string() });
  return tasks.import.waiting + waiting + Number(none === missing);
}

const Reports = defineQueue<{ kind: 'daily' | 'weekly'; tags: string[] }>('reports');
interface Report {
  kind: 'daily' | 'weekly';
  tags: string[];
}

export abstract class Scheduled {
  @TaskHandler(Reports)
  @TaskSchedule('daily', '0 3 * * *', { timeZone: 'Europe/Berlin', payload: { kind: 'daily', tags: ['a'] } })
  @TaskSchedule('weekly', '0 3 * * 1', { missed: 'once', payload: { kind: 'weekly', tags: [] } })
  report(task: Task<Report>): string {
    return task.payload.kind;
  }

  @TaskSchedule('clean-up', { everyMs: 60_000 }, { jitterMs: 1_000 })
  noPayload(): number {
    return 1;
  }

  // @ts-expect-error -- another payload than the handler's
  @TaskSchedule('daily', '0 3 * * *', { payload: { kind: 'hourly', tags: [] } })
  otherPayload(task: Task<Report>): string {
    return task.payload.kind;
  }

  // @ts-expect-error -- the handler wants a payload
  @TaskSchedule('daily', '0 3 * * *')
  withoutPayload(task: Task<Report>): string {
    return task.payload.kind;
  }
}

export async function schedules(queue: QueueService): Promise<void> {
  await queue.schedules(Files.tasks.import).upsert('a', '0 3 * * *', { url: 'b' });
  // @ts-expect-error -- a whole queue is no place to publish to
  queue.schedules(Files);
  await queue.schedules(Reports).upsert('a', '0 3 * * *', { kind: 'daily', tags: [] });
  await queue.schedules('reports').upsert('a', { everyMs: 1_000 }, 'anything');
  // @ts-expect-error -- another payload than the queue's
  await queue.schedules(Reports).upsert('a', '0 3 * * *', { kind: 'hourly', tags: [] });
  // @ts-expect-error -- the schema's input, and not its output
  await queue.schedules(Mails).upsert('a', '0 3 * * *', { at: 7 });
  // @ts-expect-error -- no spec
  await queue.schedules(Reports).upsert('a', { every: 1_000 }, { kind: 'daily', tags: [] });
}

export async function keys(queue: QueueService): Promise<string[]> {
  const Lists = defineQueue<number[]>('lists');
  // @ts-expect-error -- without a key
  await queue.publishUnique(Orders, { productId: 'a' }, {});
  // @ts-expect-error -- another payload than the queue's
  await queue.publishUnique(Orders, 1, { key: 'a' });
  // @ts-expect-error -- the whole list, and not an item
  await queue.collect(Lists, [1], { key: 'a', waitMs: 5 });
  // @ts-expect-error -- a queue of single payloads
  await queue.collect(Orders, { productId: 'a' }, { key: 'a', waitMs: 5 });
  const { id, outcome } = await queue.publishUnique(
    Orders,
    { productId: 'a' },
    { key: 'a', mode: 'debounce', windowMs: 5 },
  );
  await queue.publishUnique(Orders, { productId: 'a' }, { key: 'a', mode: 'follow-up' });
  // @ts-expect-error -- no such mode
  await queue.publishUnique(Orders, { productId: 'a' }, { key: 'a', mode: 'follows' });
  await queue.inspect(Orders, { key: 'a' });
  return [id, outcome, (await queue.collect(Lists, 1, { key: 'a', waitMs: 5, max: 10 })).outcome];
}

export async function operations(queue: QueueService): Promise<unknown[]> {
  const removed: number = await queue.purge(Orders, 'waiting', { group: 'a' });
  // @ts-expect-error -- running tasks are not purged
  await queue.purge(Orders, 'running');
  // @ts-expect-error -- there is no default
  await queue.purge(Orders);
  const isDue: boolean = await queue.runNow(Orders, { key: 'k' });
  const outcome: 'removed' | 'aborting' | 'not-found' = await queue.cancel(Orders, 'id');
  const { unconfirmed } = await queue.pause(Orders, { wait: true, timeoutMs: 5, signal: new AbortController().signal });
  await queue.resume(Orders, { here: true });
  // @ts-expect-error -- a pause has no delay
  await queue.pause(Orders, { delayMs: 5 });
  return [removed, isDue, outcome, unconfirmed];
}

export async function priorities(queue: QueueService): Promise<unknown[]> {
  const Alerts = defineQueue<string>('alerts', { shares: { high: 3 } });
  const id: string = await queue.publish(Alerts, 'a', { priority: 'high' });
  await queue.publishMany(Alerts, ['a'], () => ({ priority: 'low', delayMs: 5 }));
  // @ts-expect-error -- no such level
  await queue.publish(Alerts, 'a', { priority: 'urgent' });
  // @ts-expect-error -- a number is no level
  await queue.publish(Alerts, 'a', { priority: 1 });
  // @ts-expect-error -- a publish under a key has no priority
  await queue.publishUnique(Alerts, 'a', { key: 'a', priority: 'high' });
  // @ts-expect-error -- named tasks have no levels
  defineQueue('files', { tasks: { import: payload<string>() }, shares: true });
  // @ts-expect-error -- no such level
  defineQueue<string>('alerts', { shares: { urgent: 1 } });
  const { levels } = await queue.counts(Alerts);
  const waiting: number | undefined = levels?.high.waiting;
  return [id, waiting, (await queue.inspect(Alerts, id))?.priority];
}
