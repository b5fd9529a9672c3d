import type { Link } from '../connection/link.js';
import { isUnavailable } from '../redis.errors.js';
import { defineScript } from '../script/script.js';
import { lua } from '../script/fragment.js';
import type { CancelTimer, Clock } from '../time/clock.js';
import { FRAME, frame } from './frame.js';

export interface InboxProofOptions {
  /** The link that carries the commands of this process. */
  commands: Link;
  /** The channel, to which the subscriber listens. */
  channel: string;
  clock: Clock;
}

/**
 * What became of a proof:
 *
 * - `heard`
 * - `unheard`: Redis has published it, and it did not arrive: the two links lead to different servers, or the subscriber is dead
 * - `unanswered`: Redis did not answer
 * - `unsent`: the commands are not connected, or Redis refused, so nothing is known about the subscriber
 */
export type ProofOutcome = 'heard' | 'unheard' | 'unanswered' | 'unsent';

/** The kind of the message. Its parts: the number of the proof, and the value of the counter if there is one. */
export const PROOF = 'redis:proof';

/** How long Redis may be silent after the sending, in milliseconds. */
const ANSWER_MS = 3_000;

/**
 * How long a message may take once Redis has published it, in milliseconds: at the first proof that fails, and at most. It
 * doubles with each one that fails.
 */
const ARRIVAL_MS = { first: 1_000, most: 30_000 };

/** How often the message is looked for in that time. Looks are counted, not time: see {@link InboxProof}. */
const LOOKS = 4;

/**
 * Tells the value of a counter to the process itself, in order with all messages of the server.
 *
 * KEYS  counter  the number of the last announcement
 * ARGV  channel  number: of the proof
 * Reply nothing of use
 *
 * It changes nothing. A crash, a pause, a repeat or a reorder costs the proof that it was sent for.
 */
const counterScript = defineScript({
  name: 'redis:proof',
  keys: ['counter'],
  args: { channel: 'text', number: 'text' },
  lua: lua`
${FRAME}
return redis.call('PUBLISH', channel, frame('${PROOF}', number, redis.call('GET', counter) or '0'))
`,
  decode: () => undefined,
});

/**
 * One question at a time to the whole way of a message: published on the link for commands, heard on the subscriber. Every
 * question has a number of its own, so a message that comes late proves nothing for a later question.
 *
 * A process whose event loop was blocked finds its timers due before it has read its sockets. So a message is late only if it was
 * looked for several times, with reads in between.
 */
export class InboxProof {
  readonly #options: InboxProofOptions;
  #number = 0;
  /** Ends the wait of the question under way. */
  #settle: ((outcome: ProofOutcome) => void) | undefined;
  #failures = 0;

  constructor(options: InboxProofOptions) {
    this.#options = options;
  }

  /** Asks, and waits for the message. The counter is told with it. */
  ask(counter: string | undefined): Promise<ProofOutcome> {
    const number = String(++this.#number);
    return new Promise((resolve, reject) => {
      let cancel: CancelTimer = () => {};
      const settle = (outcome: ProofOutcome): void => {
        cancel();
        this.#settle = undefined;
        if (outcome === 'heard') this.#failures = 0;
        else if (outcome === 'unheard') this.#failures++;
        resolve(outcome);
      };
      this.#settle = settle;
      const isOpen = (): boolean => this.#settle === settle;
      const look = (left: number): void => {
        if (!isOpen()) return;
        if (left === 0) {
          settle('unheard');
          return;
        }
        cancel = this.#options.clock.timer(this.#arrivalMs / LOOKS, () => {
          // What has come is read first.
          setImmediate(look, left - 1);
        });
      };
      this.#publish(number, counter).then(
        () => {
          look(LOOKS);
        },
        (error: unknown) => {
          if (!isOpen()) return;
          if (isUnavailable(error)) {
            settle(error.refusal === undefined && this.#options.commands.up ? 'unanswered' : 'unsent');
            return;
          }
          reject(error instanceof Error ? error : new Error(String(error)));
          settle('unsent');
        },
      );
    });
  }

  /** The message of a proof has arrived. */
  hear(number: string | undefined): boolean {
    if (this.#settle === undefined || number !== String(this.#number)) return false;
    this.#settle('heard');
    return true;
  }

  /** The subscription is another one, or the inbox stops: the question under way proves nothing. */
  abandon(): void {
    this.#settle?.('unsent');
  }

  /** How many proofs in a row were published and did not arrive. */
  get failures(): number {
    return this.#failures;
  }

  get #arrivalMs(): number {
    return Math.min(ARRIVAL_MS.first * 2 ** this.#failures, ARRIVAL_MS.most);
  }

  #publish(number: string, counter: string | undefined): Promise<unknown> {
    const { commands, channel } = this.#options;
    const options = { deadlineMs: ANSWER_MS, whileSilent: true, background: true };
    if (counter === undefined) return commands.send('publish', [channel, frame(PROOF, number)], options);
    return counterScript.run(commands, { keys: { counter }, args: { channel, number } }, options);
  }
}
