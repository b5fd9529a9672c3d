/** What rate limiters are asked to show, one behaviour at a time. */
import type { RedisServer } from 'nestjs-sluice/testing';
import type { Verdict } from '../../../test/support/interleavings/scenarios.js';
import type { Column } from './contenders.js';

export interface Stage {
  /** A server of its own, empty. */
  redis: RedisServer;
}

export interface Fault {
  letter: string;
  title: string;
  /** What is done. */
  order: string;
  /** What a right limiter does. */
  right: string;
  play(column: Column, stage: Stage): Promise<Verdict>;
}

/** What is played with whatever the column is. */
export const seenAs = (right: boolean, seen: string): Verdict => ({ right, seen });

/** The library does not claim to do this. */
export const notOffered = (lacking: string): Verdict => ({ lacking, seen: '' });

/** The answer, or what it says by not answering. */
export async function answerOf<T>(call: Promise<T>, withinMs: number): Promise<{ value?: T; seen: string }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ seen: string }>((resolve) => {
    timer = setTimeout(() => {
      resolve({ seen: `no answer within ${withinMs / 1_000} s` });
    }, withinMs);
  });
  const answer = call.then(
    (value) => ({ value, seen: 'an answer' }),
    (error: unknown) => ({ seen: `error: ${error instanceof Error ? error.message : String(error)}` }),
  );
  const first = await Promise.race([answer, late]);
  clearTimeout(timer);
  return first;
}
