import type { Redis } from 'ioredis';
import { SluiceError } from '../../weave/index.js';
import { rightsOn, type Right } from '../access/rights.js';
import { ServerFitness } from '../access/server-fitness.js';
import { unreachable } from '../access/unreachable.js';
import { ServerSlots } from '../cluster/server-slots.js';
import { SlotProbe } from '../cluster/slot-probe.js';
import type { Clock } from '../time/clock.js';
import { Inbox } from '../inbox/inbox.js';
import type { BootHold } from './boot-hold.js';
import type { Keyspace } from '../keyspace.js';
import { newClient, TRACKING } from './client-options.js';
import { Link } from './link.js';
import { ConnectionHealth, type ConnectionStats } from '../observe/connection-health.js';
import type { RedisRefusal } from '../redis.errors.js';
import { addressOf, type ResolvedConnection } from '../redis.options.js';

export interface ConnectionContext {
  keyspace: Keyspace;
  clock: Clock;
  /** The id of this start of this process. */
  processId: string;
  /** Missing where no app boots. The sockets then keep the process alive from the start. */
  bootHold?: BootHold | undefined;
  onError: (error: unknown, what: string) => void;
  onWarning: (message: string) => void;
  /** Writes an informational line to the log. */
  onNote: (message: string) => void;
}

/** The shortest time between two reconnects of all sockets, away from a server that takes no writes, in milliseconds. */
const LEAVE_MS = 5_000;

/** How long such a reconnect may take before the connection counts as lost, in milliseconds. */
const LEAVING_MS = 1_000;

/** The refusals of a server that is no primary, or that a failover is about to replace. */
const OF_A_REPLICA: ReadonlySet<RedisRefusal> = new Set(['READONLY', 'MASTERDOWN', 'UNBLOCKED', 'MOVED']);

/**
 * One Redis: a link for commands, one subscriber, and further links for commands that block.
 *
 * Sockets are ours unless the user gave a client: that one carries the commands and is never closed; the others
 * are duplicates of it.
 */
export class RedisConnection {
  readonly name: string;
  readonly commands: Link;
  readonly inbox: Inbox;
  /** What is known about the slots of the server. */
  readonly slots = new ServerSlots();
  readonly #fitness: ServerFitness;
  readonly #health: ConnectionHealth;
  readonly #config: ResolvedConnection;
  readonly #context: ConnectionContext;
  readonly #probe: SlotProbe;
  readonly #subscriber: Link;
  readonly #opened = new Set<Link>();
  readonly #trackers: { tracker: Inbox; link: Link }[] = [];
  #leftMs = -Infinity;
  #closed = false;

  constructor(config: ResolvedConnection, context: ConnectionContext) {
    this.name = config.name;
    this.#config = config;
    this.#context = context;
    this.#health = new ConnectionHealth({
      name: config.name,
      label: `'${config.name}' (${addressOf(this.#config)})`,
      clock: context.clock,
      warn: context.onWarning,
      note: context.onNote,
    });
    this.commands = config.client ? this.#link(config.client, 'commands', false) : this.#open('commands', true);
    this.#probe = new SlotProbe(this.commands, this.slots, context.keyspace);
    this.#fitness = new ServerFitness({
      link: this.commands,
      probe: this.#probe,
      config,
      clock: context.clock,
      reconnect: this.#reconnect,
      onError: context.onError,
      onWarning: context.onWarning,
      onUseless: (reason) => {
        this.#health.lost(reason);
      },
    });
    this.#subscriber = this.#open('subscriber', true);
    this.inbox = new Inbox({
      link: this.#subscriber,
      commands: this.commands,
      prefix: `${this.channel('inbox')}:`,
      id: context.processId,
      clock: context.clock,
      onError: context.onError,
      onUnheard: (times) => {
        this.#unheard(times);
      },
      onHeardAgain: () => {
        this.#health.heard();
      },
    });
    this.requireRights(rightsOn(this.inbox.channel, 'subscribe publish'));
    for (const link of [this.commands, this.#subscriber]) {
      link.onDown((reason) => {
        this.#lost(reason);
      });
      link.onUp(() => {
        if (this.#isUp()) this.#health.restored();
      });
    }
  }

  /** Its outages and refusals since the process started. */
  get stats(): ConnectionStats {
    return this.#health.stats;
  }

  /** The INFO of the server that the commands lead to, asked once per connect. */
  info(): Promise<string> {
    return this.#probe.info();
  }

  /** The name of a pub/sub channel of the namespace, for this Redis and database. */
  channel(name: string): string {
    return this.#context.keyspace.channel(name, this.commands.client.options.db ?? 0);
  }

  /**
   * Something is kept here that must not be evicted, in the words of a warning: `'locks'`. Say so before the connection is
   * opened; the server is looked at then.
   */
  requireNoEviction(what: string): void {
    this.#fitness.keep(what);
  }

  /** A feature runs these commands here. Say so before the connection is opened; the rights of the user are looked at then. */
  requireRights(rights: readonly Right[]): void {
    this.#fitness.requireRights(rights);
  }

  /**
   * The same, for what is known only after the connection was opened. With `required: false` it only reports.
   *
   * @throws SluiceError `SLUICE_REDIS_UNFIT` naming the commands that the user may not run
   */
  checkRights(rights: readonly Right[]): Promise<void> {
    return this.#fitness.checkRights(rights);
  }

  /** Opens one more socket, for commands that block. It connects in the background. The caller has to close it. */
  openLink(purpose: string): Link {
    return this.#open(purpose, false);
  }

  /**
   * Reports every change of keys with these prefixes: by any client, by expiry, by eviction.
   * `changed` gets the keys; `undefined` when all are gone (a flush).
   *
   * Redis' own client tracking, on a socket of its own that speaks protocol 2: there invalidations are messages, and tracking
   * ends with the socket that delivers them. The subscription is proven, and made again, as that of an inbox.
   */
  track(prefixes: readonly string[], changed: (keys: readonly string[] | undefined) => void): Inbox {
    const link = this.#open(TRACKING, true);
    const proofChannel = `${this.inbox.channel}:tracking`;
    this.requireRights(rightsOn(proofChannel, 'subscribe publish'));
    const tracker = new Inbox({
      link,
      commands: this.commands,
      proofChannel,
      prefix: '__redis__:',
      id: 'invalidate',
      clock: this.#context.clock,
      onError: this.#context.onError,
      prepare: async () => {
        const id = await link.send<number>('client', ['id']);
        const wanted = prefixes.flatMap((prefix) => ['prefix', prefix]);
        await link.send('client', ['tracking', 'on', 'redirect', id, 'bcast', ...wanted]);
      },
      receive: (keys) => {
        changed(Array.isArray(keys) ? keys.map(String) : undefined);
      },
    });
    this.#trackers.push({ tracker, link });
    return tracker;
  }

  /** Closes a link made by {@link openLink}. */
  async closeLink(link: Link): Promise<void> {
    this.#opened.delete(link);
    await link.close();
  }

  /**
   * Connects and subscribes, and looks once whether the server is fit: warns, or refuses if the connection is `strict`.
   * With `required: false` it does not wait.
   *
   * @throws SluiceError `SLUICE_REDIS_UNREACHABLE` with what was tried, `SLUICE_REDIS_UNFIT` with what is wrong,
   * `SLUICE_CLOSED` if it was closed meanwhile
   */
  async open(): Promise<void> {
    const { required, bootTimeoutMs } = this.#config;
    this.inbox.start();
    for (const { tracker, link } of this.#trackers) {
      tracker.start();
      // Without tracking, the cache keeps no copies. The other sockets report whether Redis answers at all.
      void link.waitUntilUp(bootTimeoutMs);
    }
    const up = Promise.all([this.commands, this.#subscriber].map((link) => link.waitUntilUp(bootTimeoutMs)));
    if (!required) {
      this.#fitness.checkWhenUp();
      void up.then(() => {
        if (!this.#isUp()) this.#health.lost(this.#lastError()?.message ?? `no answer within ${bootTimeoutMs} ms`);
      });
      return;
    }
    const isUp = (await up).every(Boolean);
    if (this.#closed) {
      const message = `the app was closed before Redis connection '${this.name}' was open: its boot goes no further`;
      throw new SluiceError('SLUICE_CLOSED', message);
    }
    if (isUp) {
      await this.#fitness.check();
      return;
    }
    throw unreachable(this.#config, addressOf(this.#config), this.#lastError());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#health.close();
    await Promise.all([this.inbox, ...this.#trackers.map(({ tracker }) => tracker)].map((inbox) => inbox.stop()));
    await Promise.all([...this.#opened, this.commands].map((link) => link.close()));
    this.#opened.clear();
  }

  #isUp(): boolean {
    return this.commands.up && this.#subscriber.up;
  }

  #lastError(): Error | undefined {
    return this.commands.lastError ?? this.#subscriber.lastError;
  }

  /** Sockets that leave a server on purpose count as lost only if they do not come back in time. */
  #lost(reason: string): void {
    const { clock } = this.#context;
    if (clock.monoMs() - this.#leftMs > LEAVING_MS) {
      this.#health.lost(reason);
      return;
    }
    clock.timer(LEAVING_MS, () => {
      if (!this.#isUp()) this.#health.lost(this.#lastError()?.message ?? reason);
    });
  }

  /** A primary that is cut off from its replicas keeps its sockets, though the sentinels may know another one by now. */
  #hasSentinels(): boolean {
    return this.#config.clientOptions.sentinels !== undefined;
  }

  #open(purpose: string, lazyConnect: boolean): Link {
    const link = this.#link(newClient(this.#config, this.#context.clock, purpose, lazyConnect), purpose, true);
    this.#opened.add(link);
    return link;
  }

  #link(client: Redis, purpose: string, owned: boolean): Link {
    const { clock, bootHold } = this.#context;
    const { commandTimeoutMs } = this.#config;
    if (owned) bootHold?.add(client);
    const onRefused = (refusal: RedisRefusal, reply: string, command: string): void => {
      this.#health.refused({ refusal, reply, command });
      if (OF_A_REPLICA.has(refusal) || (refusal === 'NOREPLICAS' && this.#hasSentinels())) this.#leave();
    };
    // Links that block have deadlines of their own, and a user's client belongs to the user.
    const silenceMs = owned && purpose === 'commands' ? commandTimeoutMs * 2 : undefined;
    const label = `'${this.name}' (${purpose})`;
    // Other sockets send something every second, whether it is needed or not.
    const heldBy = purpose === 'commands' ? bootHold : undefined;
    return new Link(client, {
      label,
      clock,
      commandTimeoutMs,
      owned,
      silenceMs,
      slots: this.slots,
      bootHold: heldBy,
      onRefused,
    });
  }

  /**
   * The subscriber was connected anew, and still hears nothing: it may be the commands that lead to the wrong server. All sockets
   * resolve the address at the same time, so they come to one server. Twice: where pub/sub itself is broken, commands go on.
   */
  #unheard(times: number): void {
    if (times === 2 || times === 4) this.#leave();
    if (times > 2) this.#health.unheard();
  }

  /**
   * A master that a failover made a replica may keep its sockets, and refuse all writes on them for ever. Connecting anew
   * leads to the server that the address points to by now. All sockets do so, because a subscriber sees no refusal. A server
   * that stays a replica loses its readers no more often than this. A client that the user gave decides by its own
   * `reconnectOnError`.
   */
  #leave(): void {
    const nowMs = this.#context.clock.monoMs();
    if (this.#config.client !== undefined || nowMs - this.#leftMs < LEAVE_MS) return;
    this.#reconnect();
  }

  readonly #reconnect = (): void => {
    if (this.#config.client !== undefined) return;
    this.#leftMs = this.#context.clock.monoMs();
    for (const link of this.#opened) if (link.up) link.reset();
  };
}
