import { FaultProxy } from 'nestjs-sluice/testing';
import { forkApp, type ForkedApp } from '../fork-app.js';
import { until } from '../until.js';
import type { LoadEvent, Outcome } from './member.js';

/** How long things are given. All are the same for whoever is compared. */
export interface Patience {
  /** A load is held for this long: beyond whatever a lease or a wait may be limited to. */
  holdMs: number;
  /** After this, whoever was going to load has begun to. */
  graceMs: number;
  /** After this, an acknowledged invalidation has reached every local copy. */
  boundMs: number;
}

/** A load that has begun, and has read from the source what that said then. */
export interface SeenLoad {
  readonly key: string;
  readonly said: string;
  answer(): Promise<void>;
  fail(message: string): Promise<void>;
}

/** One process, and its way to Redis. */
export class Member {
  /** The stage that it is on. */
  stage: Stage | undefined;

  constructor(
    readonly app: ForkedApp,
    readonly link: FaultProxy,
  ) {
    app.on('load', (event: LoadEvent) => {
      this.stage?.began(app, event);
    });
  }

  ask(key: string, tag = 'tag'): Promise<unknown> {
    return this.app.call('ask', this.#ours(key), this.#ours(tag));
  }

  askOften(key: string, times: number): Promise<Outcome[]> {
    return this.app.call<Outcome[]>('askOften', this.#ours(key), this.#ours('tag'), times);
  }

  delete(key: string): Promise<unknown> {
    return this.app.call('delete', this.#ours(key));
  }

  invalidateTag(tag: string): Promise<unknown> {
    return this.app.call('invalidateTag', this.#ours(tag));
  }

  turn(): Promise<unknown> {
    return this.app.call('turn');
  }

  async close(): Promise<void> {
    await this.app.kill();
    await this.link.close();
  }

  #ours(name: string): string {
    return `${this.stage?.prefix ?? ''}${name}`;
  }
}

let stages = 0;

/** A fleet with one source, whose answers are held back at will. */
export class Stage {
  readonly members: Member[] = [];
  /** Every load that began, in order. */
  readonly loads: SeenLoad[] = [];
  /** Counts what the source's data went through. */
  version = 1;
  /** What loads get: an answer at once, an answer when told to, an error at once. */
  source: 'open' | 'held' | 'failing' = 'open';
  /** Before the names of its keys and tags: what an earlier stage left, in Redis or in a process, is never asked for. */
  readonly prefix = `${++stages}:`;
  readonly #url: string;
  readonly #spares: Member[];

  /** @param spares processes of the same program and Redis, which are taken before another one is started */
  constructor(
    redisUrl: string,
    readonly patience: Patience,
    spares: Member[] = [],
  ) {
    this.#url = redisUrl;
    this.#spares = spares;
  }

  /** Starts so many processes of this program, whose Redis is named in REDIS_URL, and has each read something once. */
  async start(processes: number, program: string | URL, env: Record<string, string>): Promise<void> {
    await Promise.all(
      Array.from({ length: processes }, async () => {
        const member = this.#spares.pop() ?? (await this.#fork(program, env));
        member.stage = this;
        this.members.push(member);
      }),
    );
    // Connections, subscriptions and scripts are there: a miss, and a hit in Redis. A deletion is known to all.
    for (const [i, member] of this.members.entries()) {
      await member.ask(`warm ${i}`);
      await member.ask('warm 0');
      await member.delete(`warm ${i}`);
    }
    this.loads.length = 0;
  }

  /** Its processes become spares. */
  spare(): void {
    for (const member of this.members) member.stage = undefined;
    this.#spares.push(...this.members.splice(0));
  }

  async close(): Promise<void> {
    await Promise.all(this.members.splice(0).map((member) => member.close()));
  }

  /** What the source says. */
  get says(): string {
    return `v${this.version}`;
  }

  /** The n-th load of all, once it has begun. */
  async load(n = 1): Promise<SeenLoad> {
    return until(() => this.loads[n - 1], { what: `load ${n} begins`, everyMs: 2 });
  }

  /** Whether so many loads begin before the grace is over. */
  async begins(n: number): Promise<boolean> {
    return within(this.patience.graceMs, () => this.loads.length >= n);
  }

  /** Whether this member hears of something, other than it had heard by then. */
  async hears({ link }: Member, before: number): Promise<boolean> {
    return within(this.patience.graceMs, () => link.heard > before);
  }

  /** What a process reads, at last: what the source says, or what it still answers when the bound is over. */
  async readsAtLast(member: Member, key: string): Promise<unknown> {
    let got: unknown;
    await within(this.patience.boundMs, async () => (got = await member.ask(key)) === this.says);
    return got;
  }

  began(app: ForkedApp, event: LoadEvent): void {
    const { load } = event;
    const key = event.key.slice(this.prefix.length);
    const said = this.says;
    // Its process may have been killed meanwhile.
    const tell = (op: string, text: string): Promise<void> => app.call<undefined>(op, load, text).catch(() => {});
    const seen = { key, said, answer: () => tell('answer', said), fail: (message: string) => tell('fail', message) };
    this.loads.push(seen);
    if (this.source === 'open') void seen.answer();
    if (this.source === 'failing') void seen.fail('the source is down');
  }

  async #fork(program: string | URL, env: Record<string, string>): Promise<Member> {
    const link = await FaultProxy.to(Number(new URL(this.#url).port));
    return new Member(await forkApp(program, { env: { ...env, REDIS_URL: link.url } }), link);
  }
}

async function within(ms: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadlineAt = performance.now() + ms;
  return until(async () => ((await condition()) ? 'yes' : performance.now() > deadlineAt && 'no'), {
    what: 'it is told',
    deadlineMs: ms + 10_000,
    everyMs: 2,
  }).then((answer) => answer === 'yes');
}
