import type { RedisConnections } from 'nestjs-sluice/redis';

/** An instance with a `@Cron` job, whose clock is SKEW_MS ahead of the others' (or behind). */
const skewMs = Number(process.env['SKEW_MS'] ?? 0);
const RealDate = Date;
class SkewedDate extends RealDate {
  constructor(...args: unknown[]) {
    super(...((args.length === 0 ? [RealDate.now() + skewMs] : args) as [number]));
  }
  static override now(): number {
    return RealDate.now() + skewMs;
  }
}
globalThis.Date = SkewedDate as DateConstructor;

// Only now: whatever reads the clock while it loads reads the skewed one.
const { setTimeout: pause } = await import('node:timers/promises');
const { Inject, Injectable } = await import('@nestjs/common');
const { Cron, ScheduleModule } = await import('@nestjs/schedule');
const { WithLock } = await import('nestjs-sluice/lock');
const { REDIS_CONNECTIONS } = await import('nestjs-sluice/redis');
const { emit, serve } = await import('../support/app-host.js');
const { lockMember } = await import('../support/lock-member.js');

@Injectable()
class SecondHand {
  constructor(@Inject(REDIS_CONNECTIONS) private readonly connections: RedisConnections) {}

  @Cron('* * * * * *')
  @WithLock('every_second')
  async run(): Promise<void> {
    // The lock is held, so the mark is that of this run.
    const mark = await this.connections
      .get()
      .commands.send<string>('get', ['{lock:every_second}:~tick:SecondHand.run']);
    emit('run', Number.parseInt(mark, 10) / 1_000);
    await pause(2);
  }

  /** Tells of each second whether the scheduler of this process called at its beginning. */
  @Cron('* * * * * *')
  control(): void {
    const nowMs = Date.now();
    if (nowMs % 1_000 < 300) emit('timely', Math.floor(nowMs / 1_000));
  }
}

const { app } = await lockMember(process.env['REDIS_URL'] ?? '', {
  module: { imports: [ScheduleModule.forRoot()], providers: [SecondHand] },
});
serve({ ops: { now: () => Date.now() }, stop: () => app.close() });
