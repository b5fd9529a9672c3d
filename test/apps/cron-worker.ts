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
const { Injectable } = await import('@nestjs/common');
const { Cron, ScheduleModule } = await import('@nestjs/schedule');
const { WithLock } = await import('nestjs-sluice/lock');
const { emit, serve } = await import('../support/app-host.js');
const { lockMember } = await import('../support/lock-member.js');

@Injectable()
class Job {
  @Cron('* * * * * *')
  @WithLock('every_second')
  async run(): Promise<void> {
    // Of which second of its own clock this is the run.
    emit('run', Math.floor(Date.now() / 1_000));
    await pause(2);
  }
}

const { app } = await lockMember(process.env['REDIS_URL'] ?? '', {
  module: { imports: [ScheduleModule.forRoot()], providers: [Job] },
});
serve({ ops: { now: () => Date.now() }, stop: () => app.close() });
