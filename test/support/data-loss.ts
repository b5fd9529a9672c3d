import type { Violation } from './history.js';

/** A stretch of time, in Unix µs of this machine, in which a server lost data, or a lock was taken away or deleted. */
export interface DataLoss {
  fromUs: number;
  toUs: number;
  /** The only lock concerned. */
  name?: string;
}

/** Runs `lose` and notes when. */
export async function losing(losses: DataLoss[], lose: () => Promise<unknown>, name?: string): Promise<void> {
  const loss: DataLoss = { fromUs: Date.now() * 1_000, toUs: Infinity, ...(name !== undefined && { name }) };
  losses.push(loss);
  await lose();
  loss.toUs = (Date.now() + 1) * 1_000;
}

/**
 * The violations that no loss of data explains: a hold that was granted before a loss is not known to the server after it, and
 * may overlap what is granted then, until its own validity ends. A token is the time of its grant on the server's clock, which is
 * this machine's, so it tells exactly which holds these are.
 */
export function unexplained(violations: readonly Violation[], losses: readonly DataLoss[]): Violation[] {
  return violations.filter(({ name, first, second }) => {
    const tokens = [first.token, second.token];
    if (tokens[0] === undefined || tokens[1] === undefined) return true;
    const [before, after] = [Math.min(tokens[0], tokens[1]), Math.max(tokens[0], tokens[1])];
    return !losses.some(
      (loss) => (loss.name ?? name) === name && before !== after && before <= loss.toUs && after >= loss.fromUs,
    );
  });
}
