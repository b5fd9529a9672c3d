import { afterEach, describe, expect, it } from '@jest/globals';
import type { Observable } from 'rxjs';
import { commandDelta } from '../../../test/support/command-delta.js';
import { Exports, Files, Imports, NamedTasksBed, handlersApart } from '../../../test/support/named-tasks-bed.js';
import { startQueueApp, type QueueApp, type TestHandler } from '../../../test/support/queue-app.js';
import { itWith } from '../../../test/support/refused-commands.js';
import { until } from '../../../test/support/until.js';
import { DeadLetterTask, DropTask, type QueueEvent, type Task } from '../index.js';

const bed = new NamedTasksBed();

interface Heard {
  readonly events: QueueEvent[];
  readonly ended: string[];
  stop(): void;
  /** Those of one task, without what differs from run to run. */
  of(id: string): Partial<QueueEvent>[];
  until(what: string, condition: (events: readonly QueueEvent[]) => boolean): Promise<unknown>;
}
const open: Heard[] = [];
afterEach(() => {
  for (const heard of open.splice(0)) heard.stop();
});

function hear(events: Observable<QueueEvent>): Heard {
  const heard: QueueEvent[] = [];
  const ended: string[] = [];
  const subscription = events.subscribe({
    next: (event) => heard.push(event),
    complete: () => ended.push('complete'),
    error: (error: unknown) => ended.push(String(error)),
  });
  const one = {
    ...{ events: heard, ended },
    stop: () => {
      subscription.unsubscribe();
    },
    of: (id: string) =>
      heard
        .filter((event) => 'id' in event && event.id === id)
        .map((event) => Object.fromEntries(Object.entries(event).filter(([name]) => !VARYING.includes(name)))),
    until: (what: string, condition: (all: readonly QueueEvent[]) => boolean) =>
      until(() => condition(heard), { what }),
  };
  open.push(one);
  return one;
}
const VARYING = ['at', 'process', 'ranMs', 'queue', 'group', 'id'];

/** Listens, and resolves once the processes tell their events. */
async function listen({ queue }: QueueApp, on: Parameters<QueueApp['queue']['events']>[0] = 'tasks'): Promise<Heard> {
  const heard = hear(queue.events(on));
  await until(async () => (await bed.admin.keys('*~observed')).length > 0, { what: 'somebody listens' });
  return heard;
}
const worker = (run: TestHandler, options = {}): Promise<QueueApp> =>
  bed.start({ handlers: { tasks: run }, queue: { leaseMs: 2_000, ...options } });
/** Publishes a task until one is told: the processes have learnt that somebody listens. */
async function probed({ queue }: QueueApp, heard: Heard): Promise<void> {
  await until(
    async () => {
      await queue.publish('tasks', 'probe');
      return heard.events.some(({ type }) => type === 'completed');
    },
    { what: 'events are told' },
  );
}
const done = (id: string) => (events: readonly QueueEvent[]) =>
  events.some(
    (event) => ['completed', 'dead', 'dropped', 'cancelled'].includes(event.type) && 'id' in event && event.id === id,
  );

describe('queue.events', () => {
  it('tells what happens in another process, each run in order', async () => {
    const handler = await worker(async (task: Task<string>) => {
      if (task.payload === 'probe') return;
      task.progress({ percent: 50 });
      if (task.attempt === 1) throw new Error('not yet');
      await Promise.resolve();
    });
    const heard = await listen(await bed.start({}));
    await probed(handler, heard);
    const id = await handler.queue.publish('tasks', 'x');
    await heard.until('it is done', done(id));
    // The next run may begin before this process hears that the first one is settled.
    const told = heard.of(id);
    const at = told.findIndex(({ type }) => type === 'retried');
    expect(told.splice(at, 1)).toEqual([{ type: 'retried', attempt: 1, delayMs: 0, error: 'Error: not yet' }]);
    expect(told).toEqual([
      { type: 'started', attempt: 1, deliveries: 1 },
      { type: 'progress', value: { percent: 50 } },
      { type: 'started', attempt: 2, deliveries: 1 },
      { type: 'progress', value: { percent: 50 } },
      { type: 'completed', attempt: 2 },
    ]);
    const [first] = heard.events.filter((event) => 'id' in event && event.id === id);
    expect(first).toMatchObject({ queue: 'tasks', group: 'sluice', process: handler.connections.processId });
    expect(Math.abs((first?.at.getTime() ?? 0) - Date.now())).toBeLessThan(600_000);
  });

  it.each<[string, () => Error, object]>([
    [
      'dead',
      () => new DeadLetterTask('spam'),
      { type: 'dead', reason: 'spam', error: 'DeadLetterTask: spam (SLUICE_TASK_DEAD_LETTER)' },
    ],
    ['dropped', () => new DropTask(), { type: 'dropped' }],
  ])('tells that a task is %s', async (_, thrown, expected) => {
    const handler = await worker((task: Task<string>) => {
      if (task.payload !== 'probe') throw thrown();
    });
    const heard = await listen(handler);
    await probed(handler, heard);
    const id = await handler.queue.publish('tasks', 'x');
    await heard.until('it is told', done(id));
    expect(heard.of(id)).toEqual([{ type: 'started', attempt: 1, deliveries: 1 }, expected]);
  });

  it('tells that a running task was cancelled', async () => {
    const handler = await worker(({ payload, signal }: Task<string>) => {
      if (payload === 'probe') return undefined;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    });
    const heard = await listen(handler);
    await probed(handler, heard);
    const id = await handler.queue.publish('tasks', 'x');
    await until(async () => (await handler.queue.cancel('tasks', id)) === 'aborting', { what: 'it is cancelled' });
    await heard.until('it is told', done(id));
    expect(heard.of(id).at(-1)).toEqual({ type: 'cancelled' });
  });

  it('costs a queue without listeners no command', async () => {
    const handler = await worker(() => {});
    const gone = await listen(handler);
    gone.stop();
    await bed.admin.del('{tasks}:~observed');
    await until(
      async () => {
        await handler.queue.publishMany('tasks', ['a', 'b', 'c']);
        await bed.untilSettled();
        const { calls } = await commandDelta(bed.admin, async () => {
          await handler.queue.publishMany('tasks', ['a', 'b', 'c']);
          await bed.untilSettled();
        });
        return calls['publish'] === undefined;
      },
      { what: 'nothing is told any more' },
    );
  });

  it('shares one subscription of a process, and ends it with the last listener', async () => {
    const { queue } = await worker(() => {});
    const channels = async (): Promise<number> =>
      ((await bed.admin.pubsub('CHANNELS', '*~events:*')) as string[]).length;
    const [a, b] = [await listen({ queue } as QueueApp), await listen({ queue } as QueueApp)];
    expect(await channels()).toBe(1);
    a.stop();
    await probed({ queue } as QueueApp, b);
    b.stop();
    await until(async () => (await channels()) === 0, { what: 'nothing is subscribed' });
    const c = await listen({ queue } as QueueApp);
    await probed({ queue } as QueueApp, c);
  });

  it('tells each group its own events', async () => {
    const group = (name: string, run: (task: Task<never>) => unknown): Promise<QueueApp> =>
      bed.start({ handlers: { tasks: { run, options: { group: name } } }, queue: { leaseMs: 300 } });
    const a = await group('a', () => {});
    await group('b', ({ attempt }) => {
      if (attempt === 1) throw new Error('not yet');
    });
    const heard = await listen(a);
    await until(
      async () => {
        const id = await a.queue.publish('tasks', 'x');
        await bed.untilSettled();
        const own = heard.events.filter((event) => 'id' in event && event.id === id);
        const typesOf = (name: string): string =>
          own
            .filter((e) => 'group' in e && e.group === name)
            .map((e) => e.type)
            .join(' ');
        return typesOf('a') === 'started completed' && typesOf('b') === 'started retried started completed';
      },
      { what: 'both groups have told' },
    );
  });

  it('of named tasks: all names of the queue, or one', async () => {
    const { queue } = await bed.with([handlersApart()]);
    const [whole, one] = [hear(queue.events(Files)), hear(queue.events(Exports))];
    await until(
      async () => {
        await queue.publish(Imports, { url: '' });
        await queue.publish(Exports, { page: 1 });
        const names = whole.events.map((event) => ('name' in event ? event.name : ''));
        return names.includes('import') && names.includes('export') && one.events.length > 0;
      },
      { what: 'both names are told' },
    );
    expect(new Set(one.events.map((event) => ('name' in event ? event.name : '')))).toEqual(new Set(['export']));
  });

  itWith(['client|kill'])('tells a gap when the subscription was lost, and goes on', async () => {
    const handler = await worker(() => {});
    const heard = await listen(handler);
    await probed(handler, heard);
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'PUBSUB');
    await heard.until('the gap is told', (events) => events.some(({ type }) => type === 'gap'));
    const from = heard.events.length;
    await until(
      async () => {
        await handler.queue.publish('tasks', 'x');
        return heard.events.slice(from).some(({ type }) => type === 'completed');
      },
      { what: 'events are told again' },
    );
  });

  it('completes when the app stops, and a later subscription at once', async () => {
    const { app, queue } = await bed.start({});
    const heard = await listen({ queue } as QueueApp);
    await app.close();
    expect(heard.ended).toEqual(['complete']);
    expect(hear(queue.events('tasks')).ended).toEqual(['complete']);
  });

  it('refuses bad names at once', async () => {
    const { queue } = await bed.start({});
    expect(() => queue.events('')).toThrow('name');
  });

  it('fails by name for a user without rights on the channel', async () => {
    await bed.admin.call('ACL', 'SETUSER', 'deaf', 'on', '>p', '~*', '+@all', 'resetchannels');
    const url = Object.assign(new URL(bed.redis.url), { username: 'deaf', password: 'p' });
    const { app, queue } = await startQueueApp({ url: url.href });
    const heard = hear(queue.events('tasks'));
    await until(() => heard.ended.length > 0, { what: 'the listener is told' });
    expect(heard.ended[0]).toMatch(/NOPERM|channel/);
    await app.close();
  });
});
