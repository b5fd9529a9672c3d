import { badOption, checkText, count, durationMs, oneOf, optional, resolveOptions } from '../../weave/index.js';
import { KNOWN_MS, type UniqueOutcome } from '../store/scripts/publish-unique.script.js';
import type { TaskKey } from '../admin/task-info.js';
import { checkPublishOptions, refusePriority, type PublishOptions } from './publish.options.js';

interface Repeatable {
  /**
   * Makes a repeat of this publish safe: a publish with the same nonce and key changes nothing for ten minutes, and resolves to the first
   * answer. Default: a new one for each call. `PublishUnconfirmedError.nonce` has the nonce of a call whose answer was lost.
   */
  nonce?: string;
}

/** The options of `publishUnique`. */
export interface PublishUniqueOptions extends Omit<PublishOptions, 'priority' | 'orderingKey'>, TaskKey, Repeatable {
  /**
   * What happens while the key is taken.
   *
   * - `'skip'` (default): nothing is published.
   * - `'replace'`: the task that waits, is delayed or rests before a retry gets the new payload and options, and begins its attempts anew.
   *   One that is delayed stays as long as it would have; one that waits goes to the end of the queue. A task that a worker has is left
   *   alone, and a new one is published.
   * - `'follow-up'`: the task that waits gets the new payload and options, as with `'replace'`. While a worker has it, one more is published,
   *   which runs once that one is done, a dead letter or removed. Until then, each publish gives the second one its payload and
   *   options. So at least one run begins after each publish, with its payload or a later one, and no two run side by side.
   * - `'debounce'`: the task that waits under the key gets the new payload and options, and waits `windowMs` from now. A task that has
   *   begun to run is left alone, and a new one is published.
   */
  mode?: 'skip' | 'replace' | 'follow-up' | 'debounce';
  /**
   * In milliseconds, at most 7 days; not with `'replace'` and `'follow-up'`. `'skip'`: for how long the key is taken from the first publish on. Default: until the task is done, a
   * dead letter, or removed; at most 7 days. `'debounce'`: how long the task waits after the last publish; required.
   */
  windowMs?: number;
  /** `'debounce'`: how long the task waits after the first publish at most, in milliseconds. Default ten times `windowMs`. */
  maxWaitMs?: number;
}

/** The options of `collect`. */
export interface CollectOptions extends Omit<PublishOptions, 'delayMs' | 'runAt' | 'priority'>, TaskKey, Repeatable {
  /** How long the task waits for more items after the last one, in milliseconds, at most 7 days. */
  waitMs: number;
  /** How long the task waits after the first item at most, in milliseconds. Default ten times `waitMs`. */
  maxWaitMs?: number;
  /** With how many items the task runs at once. Default 1 000, at most 100 000. */
  max?: number;
}

/** What became of a publish under a key. */
export interface UniquePublish {
  /** The id of the task that has the key: the new one, or the one that was there. */
  readonly id: string;
  /**
   * `'published'`: a new task. `'skipped'`: nothing was published. `'replaced'`, `'postponed'`: the task that waits has the new payload.
   * `'follows'`: the task that waits for the end of the active one has the new payload.
   * `'collected'`: the task that waits has the item as well.
   */
  readonly outcome: UniqueOutcome;
}

/** A publish under a key, checked. */
export interface UniqueRequest {
  readonly mode: 'skip' | 'replace' | 'follow-up' | 'debounce' | 'collect';
  readonly key: string;
  readonly nonce: string | undefined;
  readonly windowMs: number;
  readonly maxWaitMs: number;
  readonly max: number;
  readonly options: PublishOptions;
}

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkUniqueOptions(given: PublishUniqueOptions | undefined): UniqueRequest {
  const site = 'publishUnique';
  const { key, nonce, mode, windowMs, maxWaitMs, ...publishing } = (given ?? {}) as Partial<PublishUniqueOptions>;
  const options = checkPublishOptions(publishing, site);
  refusePriority(options, site);
  const checked = resolveOptions<Checked>(
    site,
    { mode, windowMs, maxWaitMs },
    {
      mode: oneOf(['skip', 'replace', 'follow-up', 'debounce'], 'skip'),
      windowMs: optional(window),
      maxWaitMs: optional(window),
    },
  );
  if (checked.mode === 'debounce') {
    if (checked.windowMs === undefined) throw badOption(`${site}: windowMs`, 'given with debounce', undefined);
    if (options.delayMs !== undefined || options.runAt !== undefined) {
      throw badOption(`${site}: delayMs and runAt`, 'left out with debounce: windowMs says when the task runs', given);
    }
  } else if (checked.maxWaitMs !== undefined) {
    throw badOption(`${site}: maxWaitMs`, 'left out without debounce', checked.maxWaitMs);
  }
  if (checked.mode === 'follow-up' && (options.delayMs !== undefined || options.runAt !== undefined)) {
    throw badOption(
      `${site}: delayMs and runAt`,
      'left out with follow-up: the task runs when the active one has ended',
      given,
    );
  }
  if ((checked.mode === 'replace' || checked.mode === 'follow-up') && checked.windowMs !== undefined) {
    throw badOption(`${site}: windowMs`, `left out with ${checked.mode}`, checked.windowMs);
  }
  const { windowMs: waits = 0, maxWaitMs: most = Math.min(KNOWN_MS, 10 * waits) } = checked;
  return { mode: checked.mode, ...identity({ key, nonce }, site), windowMs: waits, maxWaitMs: most, max: 0, options };
}

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkCollectOptions(given: CollectOptions | undefined): UniqueRequest {
  const site = 'collect';
  const { key, nonce, waitMs, maxWaitMs, max, ...publishing } = (given ?? {}) as Partial<CollectOptions>;
  const options = checkPublishOptions(publishing, site);
  refusePriority(options, site);
  if (options.delayMs !== undefined || options.runAt !== undefined) {
    throw badOption(`${site}: delayMs and runAt`, 'left out: waitMs says when the task runs', given);
  }
  const checked = resolveOptions<{ waitMs?: number; maxWaitMs?: number; max: number }>(
    site,
    { waitMs, maxWaitMs, max },
    {
      waitMs: optional(window),
      maxWaitMs: optional(window),
      max: count(1_000),
    },
  );
  if (checked.max > MAX_ITEMS) throw badOption(`${site}: max`, `at most ${MAX_ITEMS}`, checked.max);
  if (checked.waitMs === undefined) throw badOption(`${site}: waitMs`, 'a number of milliseconds', undefined);
  const most = checked.maxWaitMs ?? Math.min(KNOWN_MS, 10 * checked.waitMs);
  return {
    mode: 'collect',
    ...identity({ key, nonce }, site),
    windowMs: checked.waitMs,
    maxWaitMs: most,
    max: checked.max,
    options,
  };
}

interface Checked {
  mode: 'skip' | 'replace' | 'follow-up' | 'debounce';
  windowMs?: number;
  maxWaitMs?: number;
}

const MAX_ITEMS = 100_000;
const window = durationMs(1, { max: KNOWN_MS });

function identity(
  { key, nonce }: { key?: unknown; nonce?: unknown },
  site: string,
): Pick<UniqueRequest, 'key' | 'nonce'> {
  const given = checkText(key, `${site}: key`);
  return { key: given, nonce: nonce === undefined ? nonce : checkText(nonce, `${site}: nonce`) };
}
