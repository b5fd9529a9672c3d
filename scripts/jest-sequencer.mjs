/**
 * The order of the specs in a fresh clone, where Jest has no timings of an earlier run: what takes longest begins first, so that
 * no core is idle at the end while one of those still runs. With timings, Jest's own order is the better one.
 */
import TestSequencer from '@jest/test-sequencer';
import { relative, sep } from 'node:path';

/** By the start of the path. They wait, or start processes; the others are in the order of their size. */
const LONGEST = [
  'test/e2e/lock.',
  'test/e2e/queue.spec',
  'test/e2e/demo',
  'test/e2e/interleavings',
  'libs/lock/cron',
  'libs/queue/admin/pause',
  'test/model',
  'test/e2e',
  'test/support',
  'libs/testing',
];

export default class LongestFirst extends TestSequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    if (tests.some((test) => test.duration !== undefined)) return sorted;
    const rank = ({ path, context }) => {
      const file = relative(context.config.rootDir, path).split(sep).join('/');
      const found = LONGEST.findIndex((start) => file.startsWith(start));
      return found < 0 ? LONGEST.length : found;
    };
    // Stable: by size within a rank.
    return sorted.sort((a, b) => rank(a) - rank(b));
  }
}
