import type { Link } from '../../libs/redis/index.js';

/** One task, for one group. */
export interface OfTask {
  readonly group: string;
  readonly task: string;
  /** The id of the task. */
  readonly handle: string;
}

/**
 * How a task ended: acknowledged by a worker, with a result; as a dead letter; dropped, because it was cancelled; removed by an operator;
 * or acknowledged by other software, of which nobody learns.
 */
export type End =
  | { readonly how: 'completed'; readonly text: string }
  | { readonly how: 'failed'; readonly reason: string }
  | { readonly how: 'cancelled' | 'removed' | 'unseen' };

/** The tasks of one `publishMany`, and how many of them have ended how. */
export interface Join {
  readonly id: string;
  readonly record: string;
  /** Where the task goes that follows. */
  readonly target: string;
  readonly total: number;
  /** How many were published so far. */
  sent: number;
  readonly settled: Set<number>;
  readonly counts: { completed: number; failed: number; removed: number };
  /** How many have ended, and nobody has seen it. */
  unseen: number;
}

/** Somebody who waits for the end of a task. */
export interface Wait {
  /** Where the result is kept. */
  readonly result: string;
  readonly token: string;
  /** The group whose outcome counts, if there are several. */
  readonly group: string;
  /** What is waited for: the payload of a task whose `meta` says so, or the id of a task that was joined by its key. */
  readonly task?: string;
  readonly joined?: { readonly id: string; readonly waiters: string };
  /** What was answered. */
  answer?: string;
}

/** What the `meta` of a task says of its ends. */
export interface EndsMeta {
  readonly join?: string;
  readonly reply?: string;
  readonly key?: string;
}

/**
 * What the ends of tasks must have done: each counts once in its join, one task follows when all have ended, and whoever waits has one
 * answer, from the run that settled the task.
 */
export class Ends {
  readonly joins: Join[] = [];
  readonly waits: Wait[] = [];
  readonly #several: boolean;
  /** By payload. */
  readonly #metas = new Map<string, EndsMeta>();
  /** `<group> <task>` that were dead letters: when they come back, nobody waits for them any more. */
  readonly #redriven = new Set<string>();

  constructor(groups: readonly string[]) {
    this.#several = groups.length > 1;
  }

  /** The task is published with this in its `meta`. */
  note(task: string, meta: EndsMeta): void {
    this.#metas.set(task, meta);
  }

  redriven({ group, task }: OfTask): void {
    this.#redriven.add(`${group} ${task}`);
  }

  /** What the `meta` of the task says, for one group. */
  metaOf({ group, task }: Pick<OfTask, 'group' | 'task'>): EndsMeta {
    const { reply, ...others } = this.#metas.get(task) ?? {};
    return { ...others, ...(reply !== undefined && !this.#redriven.has(`${group} ${task}`) && { reply }) };
  }

  /** The whole `meta` of an entry. */
  textOf(of: OfTask): string {
    return JSON.stringify({ id: of.handle, ...this.metaOf(of) });
  }

  /** What an acknowledgement says of who waits; '': nobody does. */
  waitersMeta(of: OfTask): string {
    const { reply, key } = this.metaOf(of);
    return reply === undefined && key === undefined ? '' : JSON.stringify({ reply, key });
  }

  /** Who is answered when the task ends. */
  waitsFor(of: OfTask): Wait[] {
    const { reply } = this.metaOf(of);
    return this.waits.filter(({ answer, task, joined, group }) => {
      if (answer !== undefined || (this.#several && group !== of.group)) return false;
      return joined ? joined.id === of.handle : task === of.task && reply !== undefined;
    });
  }

  ended(of: OfTask, end: End): void {
    this.#count(of, end);
    const answer = answerOf(end);
    if (answer !== undefined) for (const wait of this.waitsFor(of)) wait.answer = answer;
  }

  #count({ task }: OfTask, { how }: End): void {
    const [id, at] = (this.#metas.get(task)?.join ?? '').split('/');
    const join = this.joins.find((each) => each.id === id);
    if (join === undefined || join.settled.has(Number(at))) return;
    join.settled.add(Number(at));
    if (how === 'unseen') join.unseen++;
    else join.counts[how === 'cancelled' ? 'removed' : how]++;
  }

  /** What Redis has otherwise; empty: nothing. */
  async violations(link: Link): Promise<string[]> {
    const found = await Promise.all([...this.joins.map((join) => this.#joinIn(link, join)), this.#waitsIn(link)]);
    return found.flat();
  }

  /** At rest, all has ended that was published. */
  get isAtRest(): boolean {
    return this.joins.every(({ sent, settled }) => settled.size === sent);
  }

  async #joinIn(link: Link, { id, record, target, total, sent, counts, unseen }: Join): Promise<string[]> {
    const { completed, failed, removed } = counts;
    const isOver = completed + failed + removed === total;
    const follows = `{"payload":"${id}","counts":${JSON.stringify({ total, ...counts })}}`;
    const [stored, entries] = await Promise.all([
      link.send<(string | null)[]>('hmget', [record, 'total', 'sent', 'completed', 'failed', 'removed']),
      link.send<[string, string[]][]>('xrange', [target, '-', '+']),
    ]);
    const wanted = isOver ? [0, 0, 0, 0, 0] : [total, sent, completed, failed, removed];
    const had = stored.map(Number);
    const published = entries.map(([, fields]) => fields[1]);
    const violations = had.join() === wanted.join() ? [] : [`join ${id} has ${had.join()}, not ${wanted.join()}`];
    if (published.join() !== (isOver ? follows : '')) {
      violations.push(`join ${id} with ${unseen} unseen is followed by '${published.join()}'`);
    }
    return violations;
  }

  async #waitsIn(link: Link): Promise<string[]> {
    if (this.waits.length === 0) return [];
    const waiters = [...new Set(this.waits.flatMap(({ joined }) => (joined ? [joined.waiters] : [])))];
    const results = this.waits.map(({ result }) => result);
    const [kept, ...noted] = await Promise.all([
      link.send<(string | null)[]>('mget', results),
      ...waiters.map((key) => link.send<string[]>('hkeys', [key])),
    ]);
    const violations = this.waits.flatMap(({ token, answer = null }, i) => {
      const told = briefly(kept[i] ?? null);
      return told === answer ? [] : [`${token} was answered ${told ?? 'nothing'}, not ${answer ?? 'yet'}`];
    });
    for (const [i, tokens] of noted.entries()) {
      const open = this.waits.filter(({ joined, answer }) => joined?.waiters === waiters[i] && answer === undefined);
      const wanted = open.map(({ token }) => token).sort();
      if (tokens.sort().join() !== wanted.join()) {
        violations.push(`${tokens.join()} are noted as waiting, not ${wanted.join()}`);
      }
    }
    return violations;
  }
}

function answerOf(end: End): string | undefined {
  if (end.how === 'completed') return `returned ${end.text}`;
  if (end.how === 'failed') return `failed dead ${end.reason}`;
  return end.how === 'cancelled' ? 'failed cancelled cancelled' : undefined;
}

/** A kept answer, without what the model does not know of a failure. */
function briefly(answer: string | null): string | null {
  if (answer?.startsWith('failed ') !== true) return answer;
  const { how, reason } = JSON.parse(answer.slice('failed '.length)) as { how: string; reason: string };
  return `failed ${how} ${reason}`;
}
