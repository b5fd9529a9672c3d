import { expect } from '@jest/globals';
import type { CombinationKit } from './combination.kit.js';

/** What a cell of the table says: it works, it works and there is something to know, or it is refused. */
export type Mark = '✓' | '•' | '✗';

/** The test of one cell. */
export interface Combination {
  readonly mark: Mark;
  /** Of what is refused: the code, which the page names. */
  readonly code?: string;
  readonly run: (kit: CombinationKit) => Promise<void>;
}

/** One row of the table: a feature with each of those that stand before it. */
export interface Row {
  readonly feature: string;
  readonly with: Readonly<Record<string, Combination>>;
}

export const works = (run: Combination['run']): Combination => ({ mark: '✓', run });

/** It works, and the page says what to know of it. */
export const noted = (run: Combination['run']): Combination => ({ mark: '•', run });

/** How one kind of app is started: with Redis, or as `SluiceTestingModule`. */
export type Start = CombinationKit['start'];

/** `attempt` rejects with this code, in an app with Redis and in `SluiceTestingModule`. */
export function refused(code: string, attempt: (start: Start, kit: CombinationKit) => Promise<unknown>): Combination {
  const run = async (kit: CombinationKit): Promise<void> => {
    const starts: Start[] = [
      kit.start.bind(kit),
      async (options) => (await kit.testing(options)).queue as unknown as ReturnType<Start>,
    ];
    for (const start of starts) {
      kit.forget();
      await expect(attempt(start, kit)).rejects.toMatchObject({ code });
    }
  };
  return { mark: '✗', code, run };
}

/** The test of the cell, by its title. */
export function titleOf(feature: string, other: string): string {
  return `${feature} × ${other}`;
}
