import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { setTimeout as pause } from 'node:timers/promises';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { SluiceQueueModule, TaskHandler } from '../index.js';

const closing: (() => Promise<void>)[] = [];
// Before that of the bed, which empties the server.
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});
const bed = new QueueBed();

/** An app with a backlog of one task, and a handler whose own bootstrap hook takes a while. */
async function boot(
  hook: (state: { isReady: boolean }) => Promise<void>,
): Promise<{ seen: boolean[]; boot: () => Promise<unknown> }> {
  const seen: boolean[] = [];
  const { queue } = await bed.start({ queue: { consumers: false } });
  await queue.publish('tasks', 1);
  @Injectable()
  class Orders implements OnApplicationBootstrap {
    isReady = false;

    async onApplicationBootstrap(): Promise<void> {
      await hook(this);
    }

    @TaskHandler('tasks')
    handle(): void {
      seen.push(this.isReady);
    }
  }
  @Module({ providers: [Orders] })
  class OrdersModule {}
  @Module({
    imports: [SluiceRedisModule.forRoot({ redis: { url: bed.redis.url } }), SluiceQueueModule.forRoot(), OrdersModule],
  })
  class App {}
  return {
    seen,
    boot: async () => {
      const app = await Test.createTestingModule({ imports: [App] }).compile();
      closing.push(() => app.close());
      await app.init();
    },
  };
}

describe('the handlers of an app', () => {
  it('start after all bootstrap hooks, also those that take a while', async () => {
    const { seen, boot: start } = await boot(async (state) => {
      await pause(300);
      state.isReady = true;
    });
    await start();
    await until(() => seen.length === 1, { what: 'the task ran' });
    expect(seen).toEqual([true]);
  });

  it('never start when a bootstrap hook fails', async () => {
    const { seen, boot: start } = await boot(async () => {
      await pause(300);
      throw new Error('no warm-up');
    });
    await expect(start()).rejects.toThrow('no warm-up');
    // A handler that had been started would have run by now: the hook alone gave it 300 ms.
    await pause(300);
    expect(seen).toEqual([]);
    expect((await bed.admin.xinfo('GROUPS', 'tasks').catch(() => [])) as unknown[]).toEqual([]);
  });
});
