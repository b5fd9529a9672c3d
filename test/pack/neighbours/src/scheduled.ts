/** `@Cron` with `@WithLock` beside nestjs-cls, whose proxies throw when something looks at them, in both orders of imports. */
import assert from 'node:assert/strict';
import { Injectable, type ModuleMetadata } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cron, ScheduleModule } from '@nestjs/schedule';
import { ClsModule, ClsService, UseCls } from 'nestjs-cls';
import { WithLock, currentLock } from 'nestjs-sluice';
import { check, moduleOf, sluice, until } from './check.js';

const cls = () => ClsModule.forRoot({ global: true, middleware: { mount: true } });

type Imports = NonNullable<ModuleMetadata['imports']>;

async function oncePerTick(order: string, imports: () => Imports): Promise<void> {
  let ticks = 0;
  let runs = 0;
  const names = new Set<string | undefined>();

  @Injectable()
  class Jobs {
    constructor(private readonly cls: ClsService) {}

    @Cron('*/1 * * * * *')
    tick(): void {
      ticks++;
    }

    @Cron('* * * * * *')
    @WithLock(`job-${order}`)
    async bare(): Promise<void> {
      runs++;
      names.add(currentLock()?.name);
    }

    @Cron('0-59/1 * * * * *')
    @UseCls()
    @WithLock(`job-cls-${order}`)
    async withStore(): Promise<void> {
      this.cls.set('seen', true);
      assert.equal(this.cls.get('seen'), true);
      names.add(currentLock()?.name);
    }
  }

  const boot = () =>
    NestFactory.createApplicationContext(moduleOf({ imports: imports(), providers: [Jobs] }), {
      logger: ['error', 'warn'],
    });
  const apps = await Promise.all([boot(), boot()]);
  await until('the jobs have run', () => runs >= 3 && names.size === 2);
  // Both apps count every tick; only one of them runs the job.
  assert.ok(runs <= ticks / 2 + 2, `${runs} runs in ${ticks / 2} ticks`);
  const before = runs;
  await apps[0]!.get(Jobs).bare();
  assert.ok(runs > before, 'a call by hand runs the body');
  await Promise.all(apps.map((app) => app.close()));
}

export const scheduled = async (): Promise<void> => {
  const orders: [string, () => Imports][] = [
    ['cls first', () => [cls(), ScheduleModule.forRoot(), sluice('cron-a')]],
    ['cls last', () => [sluice('cron-b'), ScheduleModule.forRoot(), cls()]],
  ];
  await Promise.all(
    orders.map(([order, imports]) =>
      check(`@Cron and @WithLock run once per tick, ${order}`, () => oncePerTick(order, imports)),
    ),
  );
};
