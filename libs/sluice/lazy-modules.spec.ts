import { expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { SluiceTestingModule, TestingQueue } from '../testing/index.js';
import { CacheStampedeSafe, TaskHandler, WithLock, bindSluice, currentLock } from './index.js';

@Injectable()
class Reports {
  loads = 0;

  @WithLock('report')
  async locked(): Promise<string | undefined> {
    return Promise.resolve(currentLock()?.name);
  }

  @CacheStampedeSafe({ key: 'report' })
  async cached(): Promise<number> {
    return Promise.resolve(++this.loads);
  }

  @TaskHandler('reports')
  async handle(): Promise<void> {
    await Promise.resolve();
  }
}

class Made {
  @WithLock('made')
  async run(): Promise<string> {
    return Promise.resolve('ran');
  }
}

@Module({ providers: [Reports, { provide: Made, useFactory: () => new Made() }] })
class ReportsModule {}

it('a lazily loaded module has decorated methods, but its factories are not bound and its handlers are not found', async () => {
  const app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
  await app.init();
  try {
    const module = await app.get(LazyModuleLoader).load(() => ReportsModule);
    const reports = module.get(Reports);
    expect(await reports.locked()).toBe('report');
    expect([await reports.cached(), await reports.cached()]).toEqual([1, 1]);

    const made = module.get(Made);
    await expect(made.run()).rejects.toMatchObject({ code: 'SLUICE_NOT_BOUND' });
    expect(await bindSluice(made, app).run()).toBe('ran');

    await app.get(TestingQueue).publish('reports', {});
    expect((await app.get(TestingQueue).counts('reports')).waiting).toBe(1);
  } finally {
    await app.close();
  }
});
