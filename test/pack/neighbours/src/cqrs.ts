/** Handlers of @nestjs/cqrs with decorated methods. */
import assert from 'node:assert/strict';
import { NestFactory } from '@nestjs/core';
import {
  CommandBus,
  CommandHandler,
  CqrsModule,
  EventBus,
  EventsHandler,
  QueryBus,
  QueryHandler,
  type ICommandHandler,
  type IEventHandler,
  type IQueryHandler,
} from '@nestjs/cqrs';
import {
  CacheEvict,
  CacheStampedeSafe,
  QueueService,
  TaskHandler,
  WithLock,
  currentLock,
  type Task,
} from 'nestjs-sluice';
import { check, moduleOf, sluice, until } from './check.js';

class Pay {
  constructor(readonly order: string) {}
}
class Total {}
class Paid {
  constructor(readonly order: string) {}
}

@CommandHandler(Pay)
class PayHandler implements ICommandHandler<Pay> {
  most = 0;
  #running = 0;

  @CacheEvict({ key: 'total' })
  @WithLock(({ order }: Pay) => `order:${order}`)
  async execute(command: Pay): Promise<string | undefined> {
    this.most = Math.max(this.most, ++this.#running);
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#running--;
    return `${command.order} ${currentLock()?.name}`;
  }
}

@QueryHandler(Total)
class TotalHandler implements IQueryHandler<Total> {
  loads = 0;

  @CacheStampedeSafe({ key: 'total' })
  async execute(): Promise<number> {
    return ++this.loads;
  }
}

@EventsHandler(Paid)
class PaidHandler implements IEventHandler<Paid> {
  readonly seen: string[] = [];
  readonly tasks: string[] = [];

  constructor(private readonly queue: QueueService) {}

  @WithLock('paid')
  async handle({ order }: Paid): Promise<void> {
    this.seen.push(`${order} ${currentLock()?.name}`);
    await this.queue.publish('paid', order);
  }

  @TaskHandler('paid')
  async task(task: Task<string>): Promise<void> {
    this.tasks.push(task.payload);
  }
}

export const cqrs = (): Promise<void> =>
  check('commands, queries and events of CQRS', async () => {
    const providers = [PayHandler, TotalHandler, PaidHandler];
    const app = await NestFactory.createApplicationContext(
      moduleOf({ imports: [CqrsModule.forRoot(), sluice('cqrs')], providers }),
      { logger: ['error', 'warn'] },
    );
    const [commands, queries] = [app.get(CommandBus), app.get(QueryBus)];
    assert.deepEqual(await Promise.all([queries.execute(new Total()), queries.execute(new Total())]), [1, 1]);
    const pay = () => commands.execute<Pay, string>(new Pay('7'));
    assert.deepEqual(await Promise.all([pay(), pay(), pay()]), Array(3).fill('7 order:7'));
    assert.equal(app.get(PayHandler).most, 1);
    assert.equal(await queries.execute(new Total()), 2);
    app.get(EventBus).publish(new Paid('7'));
    const handler = app.get(PaidHandler);
    await until('the event and its task are handled', () => handler.tasks.length === 1);
    assert.deepEqual([handler.seen, handler.tasks], [['7 paid'], ['7']]);
    await app.close();
  });
