import { clip } from '../../weave/index.js';
import type { Clock } from '../time/clock.js';

/** How a socket logs in to Redis. */
export interface RedisCredentials {
  /** A user of Redis' ACL. Default: Redis' own `default` user. */
  username?: string;
  /** A password, or a token that serves as one. */
  password: string;
}

/** Called before every connect of every socket, so at any time, and by several sockets at once. */
export type CredentialsFunction = () => RedisCredentials | Promise<RedisCredentials>;

export interface CredentialSourceOptions {
  /** The name of the option, for messages. */
  option: 'credentials' | 'sentinelCredentials';
  ask: CredentialsFunction;
  clock: Clock;
  /** How long one call may take, in milliseconds. */
  timeoutMs: number;
}

/** Calls a user's function for credentials, with a deadline, and checks what it answers. No error repeats an answer. */
export class CredentialSource {
  readonly #options: CredentialSourceOptions;

  constructor(options: CredentialSourceOptions) {
    this.#options = options;
  }

  /** @throws Error naming the option, if the function fails, does not answer in time, or answers something else */
  async ask(signal: AbortSignal): Promise<RedisCredentials> {
    const { option, clock, timeoutMs } = this.#options;
    let cancel = (): void => {};
    const late = new Promise<never>((_, reject) => {
      const cancelTimer = clock.timer(timeoutMs, () => {
        reject(new Error(`no answer within ${timeoutMs} ms`));
      });
      const abandoned = (): void => {
        reject(new Error('nobody needs it any more'));
      };
      signal.addEventListener('abort', abandoned);
      // One connect asks again and again with the same signal.
      cancel = () => {
        cancelTimer();
        signal.removeEventListener('abort', abandoned);
      };
    });
    const answer = await Promise.race([this.#call(), late])
      .catch((error: unknown) => {
        // The text alone: the errors of HTTP clients carry requests with their tokens.
        throw new Error(`${option}() failed: ${clip(error instanceof Error ? error.message : typeof error)}`);
      })
      .finally(cancel);
    return checked(option, answer);
  }

  /** A function that throws at once is the same as one that rejects. */
  async #call(): Promise<unknown> {
    return this.#options.ask();
  }
}

function checked(option: string, answer: unknown): RedisCredentials {
  const { username, password } = Object(answer) as Record<string, unknown>;
  if (typeof password !== 'string' || password === '') {
    throw new Error(`${option}() failed: it must resolve to { username, password }, and gave no password`);
  }
  if (username === undefined) return { password };
  if (typeof username === 'string') return { username, password };
  throw new Error(`${option}() failed: it must resolve to { username, password }, and gave a username that is no text`);
}
