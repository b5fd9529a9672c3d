import { randomBytes } from 'node:crypto';
import type { Clock, Keyspace, RedisConnection } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { queueKeys } from '../store/queue.keys.js';
import { pauseScript, type PauseSet } from '../store/scripts/pause.script.js';
import { runningScript } from '../store/scripts/running.script.js';
import { stillBusy, withinLimits, type WaitLimits } from './limited-wait.js';

/** The result of a `pause`. */
export interface PauseResult {
  /** False: the queue was paused already. */
  readonly changed: boolean;
  /**
   * The living consumers that did not confirm in time, as `workers()` names them. Such a process may still start tasks of a read
   * that was under way, until its next renewal, at most a third of a lease later. Empty: no task that is published from now on
   * starts before `resume`.
   */
  readonly unconfirmed: readonly string[];
}

export interface PauseSwitchOptions {
  connection: RedisConnection;
  keyspace: Keyspace;
  clock: Clock;
  leaseMs: number;
  /** The streams of a queue beside its own. */
  streamsBeside: (queue: string) => Promise<readonly string[]>;
}

/** How long until the first look whether anything runs, and at most between two looks, in milliseconds. */
const LOOK_MS = 50;
const LOOK_MAX_MS = 1_000;

/** A `pause` that is under way. */
interface PauseCall {
  readonly confirmed: Set<string>;
  onConfirmed: () => void;
}

/**
 * Pauses and resumes queues.
 *
 * A pause is a key in Redis, and a message to each process that works on the queue. A process starts no more tasks once the
 * message has arrived, and answers with a message of its own. The caller waits until all living processes have answered.
 */
export class PauseSwitch {
  readonly #options: PauseSwitchOptions;
  /** By token. */
  readonly #calls = new Map<string, PauseCall>();
  #listens = false;

  constructor(options: PauseSwitchOptions) {
    this.#options = options;
  }

  async pause(queue: string): Promise<PauseResult> {
    this.#listen();
    const token = randomBytes(9).toString('base64url');
    // The call is registered before the message is sent, because an answer may arrive before the script's reply.
    const call: PauseCall = { confirmed: new Set(), onConfirmed: () => {} };
    this.#calls.set(token, call);
    try {
      const { changed, living } = await this.#set(queue, true, token);
      const unconfirmed = (): string[] => living.filter((name) => !call.confirmed.has(name));
      if (unconfirmed().length > 0) await this.#untilConfirmed(call, unconfirmed);
      return { changed, unconfirmed: unconfirmed() };
    } finally {
      this.#calls.delete(token);
    }
  }

  /**
   * Pauses the queue, and resolves when no process runs any task of it.
   *
   * @throws SluiceError `SLUICE_QUEUE_BUSY`, after `timeoutMs`, or because the queue was resumed
   */
  async pauseAndWait(queue: string, limits: WaitLimits): Promise<PauseResult> {
    const { clock, leaseMs } = this.#options;
    let last = 0;
    const late = (): Error => stillBusy(queue, `after ${limits.timeoutMs} ms, ${last} tasks still run`);
    return withinLimits(clock, limits, late, async (ended) => {
      const { changed, unconfirmed } = await this.pause(queue);
      // A process that did not confirm may start tasks until its next renewal. After a whole lease without one, it starts nothing.
      if (unconfirmed.length > 0) await rest(clock, leaseMs);
      for (let restMs = LOOK_MS; !ended.aborted; restMs = Math.min(LOOK_MAX_MS, restMs * 1.5)) {
        const { running, paused } = await this.#running(queue);
        if (!paused) throw new SluiceError('SLUICE_QUEUE_BUSY', `queue '${queue}' was resumed while a pause waited`);
        if (running === 0) break;
        last = running;
        await rest(clock, restMs);
      }
      return { changed, unconfirmed: [] };
    });
  }

  async #running(queue: string): ReturnType<typeof runningScript.run> {
    const { connection, keyspace, streamsBeside } = this.#options;
    const { stream, alive, paused } = queueKeys(keyspace, queue);
    const restKeys = await streamsBeside(queue);
    return runningScript.run(connection.commands, { keys: { stream, alive, paused }, restKeys, args: {} });
  }

  /** Resolves to false if the queue was not paused. */
  async resume(queue: string): Promise<boolean> {
    return (await this.#set(queue, false, '')).changed;
  }

  #set(queue: string, on: boolean, token: string): Promise<PauseSet> {
    const { connection, keyspace } = this.#options;
    const { paused, alive } = queueKeys(keyspace, queue);
    const { prefix: inboxes, channel: replyTo } = connection.inbox;
    const args = { on: on ? 1 : 0, inboxes, replyTo, token };
    return pauseScript.run(connection.commands, { keys: { paused, alive }, args });
  }

  #untilConfirmed(call: PauseCall, unconfirmed: () => string[]): Promise<void> {
    const { clock, leaseMs } = this.#options;
    return new Promise((resolve) => {
      const cancel = clock.timer(leaseMs / 3, resolve);
      call.onConfirmed = () => {
        if (unconfirmed().length > 0) return;
        cancel();
        resolve();
      };
    });
  }

  #listen(): void {
    if (this.#listens) return;
    this.#listens = true;
    this.#options.connection.inbox.on('queue:pause-confirmed', ([token = '', consumer = '']) => {
      const call = this.#calls.get(token);
      call?.confirmed.add(consumer);
      call?.onConfirmed();
    });
  }
}

function rest(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.timer(ms, resolve));
}
