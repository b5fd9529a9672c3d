/** What many samples say in few numbers. */

/** The value below which the share `q` of the samples lies, between two samples in proportion. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const lower = sorted[Math.floor(at)] ?? Number.NaN;
  const upper = sorted[Math.ceil(at)] ?? Number.NaN;
  return lower + (upper - lower) * (at - Math.floor(at));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** How far the middle half of the samples reaches, as a share of their median: 0.1 is a tenth. */
export function relativeSpread(values: readonly number[]): number {
  const reach = quantile(values, 0.75) - quantile(values, 0.25);
  return reach === 0 ? 0 : reach / Math.abs(median(values));
}

/** How probable it is that of so many tosses of a coin at least `heads` are heads: the sign test. */
export function byChance(heads: number, tosses: number): number {
  let ways = 1;
  let sum = 0;
  for (let k = 0; k <= tosses; k++) {
    if (k >= heads) sum += ways;
    ways = (ways * (tosses - k)) / (k + 1);
  }
  return sum / 2 ** tosses;
}
