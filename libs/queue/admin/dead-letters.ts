import type { Clock, Keyspace, Link } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import type { FreedKeys } from '../ordering/freed-keys.js';
import { queueKeys, retryKeys, type QueueKeys } from '../store/queue.keys.js';
import {
  checkLetterList,
  checkLetterPurge,
  checkRedrive,
  type DeadLetterFilter,
  type DeadLetterListOptions,
  type DeadLetterPurgeOptions,
  type RedriveOptions,
} from './dead-letters.options.js';
import type { TaskPage } from './queue.operations.js';
import { parseMeta } from '../task/delivery.js';
import { bytesOf, PAGE_BYTES, PageSize } from './page-size.js';
import { deleteLettersScript, purgeScript, redriveScript, type Redriven } from '../store/scripts/redrive.script.js';
import { fieldsOf } from '../store/stream-reply.js';
import { letterInfo, type DeadLetter } from './task-info.js';

/** A dead letter with the `meta` of the entry that it becomes again. */
interface Readied<T> {
  readonly letter: DeadLetter<T>;
  readonly meta: string;
  readonly bytes: number;
}

/** Dead letters in one read, at most. */
const PAGE = 200;
/** Dead letters that one script brings back, at most; fewer if they are large. */
const CHUNK = 100;

/**
 * The dead letters of one queue: tasks that failed for the last time, could not be read, or killed their workers.
 *
 * @see docs/internals/queue.md#dead-letters
 */
export class DeadLetters<T = unknown> {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #keyspace: Keyspace;
  readonly #queue: string;
  readonly #keys: QueueKeys;
  readonly #freedKeys: Pick<FreedKeys, 'passOn'>;

  constructor(link: Link, clock: Clock, keyspace: Keyspace, queue: string, freedKeys: Pick<FreedKeys, 'passOn'>) {
    this.#freedKeys = freedKeys;
    this.#link = link;
    this.#clock = clock;
    this.#keyspace = keyspace;
    this.#queue = queue;
    this.#keys = queueKeys(keyspace, queue);
  }

  /** A page of dead letters, oldest first. With a `filter`, dead letters are read until the page is full. */
  async list(options: DeadLetterListOptions<T> = {}): Promise<TaskPage<DeadLetter<T>>> {
    const { limit = 100, after, filter = () => true } = checkLetterList(options);
    const tasks: DeadLetter<T>[] = [];
    for await (const { letter } of this.#read(after)) {
      if (!filter(letter)) continue;
      tasks.push(letter);
      if (tasks.length === limit) return { tasks, next: letter.entryId };
    }
    return { tasks, next: undefined };
  }

  /**
   * Brings dead letters back into the queue, oldest first, with their `task.id`, as if they had never run: attempts begin
   * anew. Resolves with how many were brought back.
   *
   * Each dead letter is brought back **exactly once**, even if two operators do it at the same time, or a process dies in the
   * middle: a task that is back is no dead letter any more, and all others still are. Tasks that become dead letters meanwhile
   * stay. Dead letters of a group that no longer reads the queue stay too, if other groups read it. When the others are back,
   * the promise rejects with `SLUICE_QUEUE_NO_GROUP`, which names these groups. `toGroup` says which group shall run them.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_QUEUE_NO_GROUP`,
   * `SLUICE_REDIS_UNAVAILABLE` (then some may be back; call it again)
   */
  async redrive(options: RedriveOptions<T> = {}): Promise<number> {
    const { filter = () => true, perSecond = Infinity, toGroup, signal } = checkRedrive(options);
    const [newest] = await this.#link.send<[id: string][]>('xrevrange', [this.#keys.dead, '+', '-', 'COUNT', 1]);
    if (newest === undefined) return 0;
    // Ten chunks a second at most, so that a low rate is spread evenly and a high rate takes few round trips.
    const size = Math.min(CHUNK, Math.max(1, Math.floor(perSecond / 10)));
    let moved = 0;
    const unread = new Map<string, readonly string[]>();
    let startedMs = -Infinity;
    for await (const chunk of chunks(this.#read(undefined, newest[0]), size, filter)) {
      await this.#rest(startedMs + (chunk.length / perSecond) * 1_000, signal);
      if (signal?.aborted === true) break;
      startedMs = this.#clock.monoMs();
      for (const group of new Set(chunk.map(({ letter }) => toGroup ?? letter.group))) {
        const letters = chunk.filter(({ letter }) => (toGroup ?? letter.group) === group);
        const { moved: count, readers } = await this.#redrive(letters, group);
        moved += count;
        if (readers) unread.set(group, readers);
      }
    }
    if (unread.size > 0) throw noGroup(this.#queue, moved, unread);
    return moved;
  }

  /**
   * Deletes dead letters. Resolves with how many. Without a `filter`, all of them are deleted at once.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`, also for a `filter` that is there without a value
   */
  async purge(options?: DeadLetterPurgeOptions<T>): Promise<number> {
    const { filter } = checkLetterPurge(options);
    const purged = await this.#purge(filter);
    if (purged > 0) await this.#freedKeys.passOn(this.#queue, '');
    return purged;
  }

  async #purge(filter: DeadLetterFilter<T> | undefined): Promise<number> {
    const keys = this.#keys;
    if (filter === undefined) return purgeScript.run(this.#link, { keys, args: {} });
    let purged = 0;
    for await (const chunk of chunks(this.#read(), CHUNK, filter)) {
      const rest = chunk.flatMap(({ letter }) => [letter.entryId, letter.id]);
      purged += await deleteLettersScript.run(this.#link, { keys, args: {}, rest });
    }
    return purged;
  }

  async *#read(after?: string, until = '+'): AsyncGenerator<Readied<T>> {
    let from = after === undefined ? '-' : `(${after}`;
    const size = new PageSize(PAGE);
    for (;;) {
      const { count } = size;
      const args = [this.#keys.dead, from, until, 'COUNT', count];
      const rows = await this.#link.send<[string, string[]][]>('xrange', args);
      let read = 0;
      for (const [id, fields] of rows) {
        const letter = letterInfo(this.#queue, { id, fields }) as DeadLetter<T>;
        const bytes = bytesOf(fields);
        read += bytes;
        yield { letter, meta: readyMeta(fieldsOf(fields)['meta'] ?? '', letter.id), bytes };
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < count || last[0] === until) return;
      size.saw(rows.length, read);
      from = `(${last[0]}`;
    }
  }

  #redrive(letters: readonly Readied<T>[], group: string): Promise<Redriven> {
    // A task that never came to a group is for all groups.
    const retries = group === '' ? this.#keys : retryKeys(this.#keyspace, this.#queue, group);
    const rest = letters.flatMap(({ letter, meta }) => [letter.entryId, letter.id, meta]);
    const keys = { ...this.#keys, retryStream: retries.stream, retryIndex: retries.index };
    return redriveScript.run(this.#link, { keys, args: { group }, rest });
  }

  async #rest(untilMs: number, signal: AbortSignal | undefined): Promise<void> {
    const restMs = untilMs - this.#clock.monoMs();
    if (!(restMs > 0) || signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.#clock.timer(restMs, end);
      signal?.addEventListener('abort', end);
    });
  }
}

/** The `meta` of the dead letter, with the task's id, without the deferrals of the attempt that is over and the wait for its result. */
function readyMeta(meta: string, id: string): string {
  // JSON.stringify leaves out fields that are undefined.
  return JSON.stringify({ ...parseMeta(meta), id, defers: undefined, deferredMs: undefined, reply: undefined });
}

function noGroup(queue: string, moved: number, unread: ReadonlyMap<string, readonly string[]>): SluiceError {
  const quoted = (names: Iterable<string>): string => [...names].map((name) => `'${name}'`).join(', ');
  const [readers = []] = unread.values();
  return new SluiceError(
    'SLUICE_QUEUE_NO_GROUP',
    `dead letters for group ${quoted(unread.keys())} stay: it does not read queue '${queue}' (any more). Groups that do: ` +
      `${quoted(readers)}. Name the group that shall run them: redrive({ toGroup }). ${moved} others went back`,
  );
}

/** The dead letters that pass the filter, in chunks. */
async function* chunks<T>(
  letters: AsyncGenerator<Readied<T>>,
  size: number,
  filter: DeadLetterFilter<T>,
): AsyncGenerator<Readied<T>[]> {
  let chunk: Readied<T>[] = [];
  let bytes = 0;
  for await (const each of letters) {
    if (!filter(each.letter)) continue;
    chunk.push(each);
    bytes += each.bytes;
    if (chunk.length < size && bytes < PAGE_BYTES) continue;
    yield chunk;
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield chunk;
}
