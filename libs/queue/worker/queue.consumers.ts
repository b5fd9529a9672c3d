import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, checkShutdownHooksLater, type RedisConnections } from '../../redis/index.js';
import { LocalPauses } from './control/local-pauses.js';
import { WorkerPool } from './worker-pool.js';
import { HandlerRegistry } from '../handlers/handler.registry.js';
import type { ResolvedQueueOptions } from '../queue.options.js';
import { checkSameSlot } from '../same-slot.js';
import { QUEUE_OPTIONS } from '../queue.tokens.js';
import { QueueTally } from '../observe/queue.stats.js';
import { gateKeys, historyKeys, keyRateKeys, queueKeys, rateKeys } from '../store/queue.keys.js';
import { keyRateRights, limitedRights, orderedRights, workRights } from '../store/queue.rights.js';

/** How long the boot waits for the groups. During an outage the app boots without them, and they are opened later. */
const OPEN_MS = 2_000;

/** Starts the workers once the app has booted, and drains them when it stops. */
@Injectable()
export class QueueConsumers {
  readonly #connections: RedisConnections;
  readonly #settings: ResolvedQueueOptions;
  readonly #registry: HandlerRegistry;
  readonly #tally: QueueTally;
  readonly #localPauses: LocalPauses;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(QUEUE_OPTIONS) settings: ResolvedQueueOptions,
    @Inject(HandlerRegistry) registry: HandlerRegistry,
    @Inject(QueueTally) tally: QueueTally,
    @Inject(LocalPauses) localPauses: LocalPauses,
  ) {
    this.#connections = connections;
    this.#settings = settings;
    this.#registry = registry;
    this.#tally = tally;
    this.#localPauses = localPauses;
  }

  /** To be called when all hooks of the boot have succeeded. */
  async start(): Promise<void> {
    const { shutdown, logger, clock } = this.#connections;
    const unmatched = this.#registry.unmatched();
    if (unmatched !== undefined) logger.warn(unmatched);
    const handlers = this.#registry.enabled();
    if (handlers.length === 0) return;
    shutdown.onDrain(checkShutdownHooksLater(clock, logger));
    for (const { queue, place, site, options } of handlers) {
      // The levels of a queue have one handler.
      if (place !== queue) continue;
      const { group, concurrency, fleet, rateLimit, ordering, maxAttempts } = options;
      const inFleet = fleet === undefined ? '' : `, ${fleet} in the fleet`;
      const order = ordering ? ', in the order of keys' : '';
      const ofKey = rateLimit?.by === undefined ? '' : ` of each ${rateLimit.by}`;
      const rate = rateLimit ? `, at most ${rateLimit.limit} starts${ofKey} per ${rateLimit.perMs} ms` : '';
      logger.log(
        `queue '${queue}' is handled by ${site} (group '${group}', concurrency ${concurrency}${inFleet}${rate}${order}, maxAttempts ${maxAttempts})`,
      );
    }
    for (const { queue, site, options } of handlers) {
      if (options.deadLetterTo !== undefined) {
        checkSameSlot(this.#connections.keyspace, queue, options.deadLetterTo, `deadLetterTo of ${site}`);
      }
    }
    const places = [...new Set(handlers.map(({ place }) => place))];
    const rights = workRights(places.map((place) => queueKeys(this.#connections.keyspace, place)));
    for (const { queue, options } of handlers) {
      const { group, fleet, rateLimit, ordering, perKey } = options;
      const keys = queueKeys(this.#connections.keyspace, queue);
      if (fleet !== undefined || rateLimit || ordering || perKey)
        rights.push(...limitedRights(keys, rateKeys(this.#connections.keyspace, keys, group)));
      if (rateLimit?.by !== undefined)
        rights.push(...keyRateRights(keys, keyRateKeys(this.#connections.keyspace, keys, group)));
      if (ordering || perKey) rights.push(...orderedRights(keys, gateKeys(this.#connections.keyspace, keys, group)));
    }
    const further = handlers.flatMap(({ failedTo, place, history }) => {
      const { completed, failed } = historyKeys(this.#connections.keyspace, place);
      return [failedTo ?? [], history?.completed ? completed : [], history?.failed ? failed : []].flat();
    });
    for (const stream of new Set(further)) rights.push(['xadd', stream]);
    await this.#connections.get(this.#settings.connection).checkRights(rights);
    const pool = new WorkerPool(this.#connections, this.#settings, handlers, this.#tally);
    shutdown.onDrain(() => pool.drain());
    pool.start(this.#localPauses);
    await pool.opened(OPEN_MS).catch(async (error: unknown) => {
      await pool.drain();
      throw error;
    });
  }
}
