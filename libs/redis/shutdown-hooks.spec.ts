import { afterEach, describe, expect, it } from '@jest/globals';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ManualClock } from '../../test/support/manual-clock.js';
import { checkShutdownHooksLater } from './shutdown-hooks.js';

@Module({})
class AppModule {}

let app: INestApplicationContext | undefined;
const listeners: (() => void)[] = [];
afterEach(async () => {
  for (const listener of listeners.splice(0)) process.off('SIGTERM', listener);
  await app?.close();
  app = undefined;
});

function listen(): void {
  const listener = (): void => {};
  listeners.push(listener);
  process.on('SIGTERM', listener);
}

/** What is told after an app has booted, and `then` was done. */
async function told(then: (app: INestApplicationContext) => void): Promise<[level: string, message: string][]> {
  const clock = new ManualClock();
  const lines: [string, string][] = [];
  const note = (level: string) => (message: string) => {
    lines.push([level, message]);
  };
  checkShutdownHooksLater(clock, { warn: note('warn'), log: note('log') });
  await app?.close();
  app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  then(app);
  await clock.pass(60_000);
  return lines;
}

describe('the look for shutdown hooks', () => {
  it('warns when a SIGTERM ends the process', async () => {
    expect(await told(() => {})).toEqual([['warn', expect.stringContaining('app.enableShutdownHooks()')]]);
  });

  it('says nothing of a standalone app that enables them after its boot, the first moment there is', async () => {
    expect(await told((booted) => booted.enableShutdownHooks())).toEqual([]);
    expect(
      await told((booted) => {
        listen();
        booted.enableShutdownHooks();
      }),
    ).toEqual([]);
  });

  it('warns of hooks for other signals alone', async () => {
    expect(await told((booted) => booted.enableShutdownHooks(['SIGINT']))).toHaveLength(1);
  });

  it('tells of listeners that are not those of Nest: one of them may close the app, or none', async () => {
    expect(await told(listen)).toEqual([['log', expect.stringContaining('app.close()')]]);
  });
});
