import type { Clock } from '../../../redis/index.js';
import type { Worker } from '../worker.js';
import { ScheduleDeclarer, type ScheduleDeclarerOptions } from './schedule-declarer.js';
import { SchedulePromoter } from './schedule-promoter.js';

export interface ScheduleLoopsOptions extends Omit<ScheduleDeclarerOptions, 'worker' | 'schedules'> {
  /** The workers of this process. */
  workers: readonly Worker[];
}

/** The loops of one queue's schedules. */
interface Loops {
  readonly promoter: SchedulePromoter;
  readonly declarer: ScheduleDeclarer;
}

/**
 * Everything that this process does for schedules, by queue. Nothing runs for a queue without schedules: its loops start when a
 * handler declares one, or when a renewal or a message says that the queue has some.
 */
export class ScheduleLoops {
  readonly #byStream = new Map<string, Loops>();
  readonly #clock: Clock;
  readonly #waitsFor: Promise<void>[] = [];
  #stopped = false;

  constructor({ workers, ...options }: ScheduleLoopsOptions) {
    this.#clock = options.clock;
    // The streams of retries have no schedules. Several handlers of one queue share its loops.
    for (const worker of workers.filter(({ retries }) => retries !== undefined)) {
      const { stream } = worker.keys;
      if (this.#byStream.has(stream)) continue;
      const schedules = workers
        .filter(({ keys, retries }) => keys.stream === stream && retries !== undefined)
        .flatMap(({ handler }) => handler.schedules);
      const declarer = new ScheduleDeclarer({ worker, schedules, ...options });
      this.#byStream.set(stream, { declarer, promoter: new SchedulePromoter({ worker, ...options }) });
      if (schedules.length > 0) this.#waitsFor.push(declarer.declared);
    }
  }

  start(): void {
    for (const [stream, { declarer }] of this.#byStream) {
      if (this.#waitsFor.includes(declarer.declared)) this.#open(stream);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const loops = [...this.#byStream.values()].flatMap(({ promoter, declarer }) => [promoter.loop, declarer.loop]);
    await Promise.all(loops.map((loop) => loop.stop()));
  }

  /** Resolves when the schedules of this process are stored, or after `ms`. */
  async declared(ms: number): Promise<void> {
    if (this.#waitsFor.length === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.timer(ms, resolve);
      void Promise.all(this.#waitsFor).then(() => {
        cancel();
        resolve();
      });
    });
  }

  /** A message said that a schedule of the queue is due in `delayMs`. */
  expect(stream: string, delayMs: number): void {
    this.#open(stream)?.promoter.loop.expect(delayMs);
  }

  /** A renewal of the lease said that the first schedule of the queue is due in `delayMs`. */
  told(stream: string, delayMs: number): void {
    this.#open(stream)?.promoter.loop.told(delayMs);
  }

  /** Asks Redis now, because a message may have been missed. */
  look(): void {
    for (const { promoter } of this.#byStream.values()) promoter.loop.look();
  }

  #open(stream: string): Loops | undefined {
    const loops = this.#byStream.get(stream);
    if (this.#stopped || loops === undefined) return undefined;
    loops.promoter.loop.start();
    loops.declarer.loop.start();
    return loops;
  }
}
