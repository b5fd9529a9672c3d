import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { SluiceError } from '../../weave/index.js';
import type { RedisServer } from './redis-server.js';

/** Ample: a failover takes a few seconds, and a busy machine is ten times slower. */
const WITHIN_MS = 60_000;
const EVERY_MS = 25;
/** A server that is frozen does not answer. It may have been thawed when it is asked again. */
const ANSWERS_WITHIN_MS = 1_000;

/**
 * Asks until the answer is there. An error counts as no answer: a server that is frozen or gone does not answer.
 *
 * @throws {SluiceError} `SLUICE_TOPOLOGY_TIMEOUT` after 60 s, with the last error
 */
export async function awaitState<T>(what: string, question: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + WITHIN_MS;
  let last: unknown = 'not yet';
  while (performance.now() < deadline) {
    try {
      const answer = await question();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    await pause(EVERY_MS);
  }
  throw new SluiceError('SLUICE_TOPOLOGY_TIMEOUT', `waited ${WITHIN_MS} ms until ${what}; the last: ${String(last)}`);
}

/** What all of these servers say. Servers that are frozen or gone say nothing. */
export async function answersOf<T>(
  servers: readonly RedisServer[],
  question: (client: Redis) => Promise<T>,
): Promise<T[]> {
  const asked = servers.map((server) => answerOf(server, question));
  return (await Promise.allSettled(asked)).flatMap((said) => (said.status === 'fulfilled' ? [said.value] : []));
}

/** Rejects if the server does not answer soon. */
export function answerOf<T>(server: RedisServer, question: (client: Redis) => Promise<T>): Promise<T> {
  return server.ask(question, ANSWERS_WITHIN_MS);
}
