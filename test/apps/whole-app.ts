/** An app with all features and a scheduler, as a user would have it. */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cron, ScheduleModule } from '@nestjs/schedule';
import { CacheStampedeSafe, QueueService, SluiceModule, TaskHandler, WithLock, type Task } from 'nestjs-sluice';
import { serve } from '../support/app-host.js';

const seen = { ticks: 0, tasks: 0 };

@Injectable()
class Service {
  @Cron('* * * * * *')
  @WithLock('tick')
  async tick(): Promise<void> {
    seen.ticks++;
    return Promise.resolve();
  }

  @WithLock((name: string) => name)
  async locked(name: string): Promise<string> {
    return Promise.resolve(name);
  }

  @CacheStampedeSafe()
  async cached(of: string): Promise<string> {
    return Promise.resolve(of);
  }

  @TaskHandler('tasks')
  handle(_task: Task<never>): void {
    seen.tasks++;
  }
}

@Module({
  imports: [
    ScheduleModule.forRoot(),
    SluiceModule.forRoot({ namespace: 'whole', redis: { url: process.env['REDIS_URL'] ?? '' } }),
  ],
  providers: [Service],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();

/** Sockets and timers that keep this process alive, but for its channel to the parent and its standard streams. */
const resources = (): string[] =>
  process.getActiveResourcesInfo().filter((each) => each.startsWith('TCP') || each === 'Timeout');

serve({
  ops: {
    use: async () => {
      const service = app.get(Service);
      await Promise.all([service.locked('a'), service.locked('a'), service.cached('b')]);
      await app.get(QueueService).publish('tasks', {});
    },
    seen: () => seen,
    resources,
    close: async () => {
      await app.close();
      return resources();
    },
  },
});
