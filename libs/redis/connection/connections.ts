import { type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { SluiceError } from '../../weave/index.js';
import { systemClock, type Clock } from '../time/clock.js';
import type { BootHold } from './boot-hold.js';
import { RedisConnection } from './connection.js';
import { Keyspace } from '../keyspace.js';
import { makeProcessId } from '../process-id.js';
import { resolveRedisOptions, type RedisOptions } from '../redis.options.js';
import { SafeLogger } from '../safe-logger.js';
import { Shutdown } from '../shutdown.js';

/**
 * Every Redis of an app, by name, and what all features share: the namespace's keys, the clock, the identity of
 * this process start, the shutdown order.
 *
 * It connects when the app is initialised, not when Nest assembles it: Nest never closes an app that could not be assembled, and
 * such an app must not leave sockets. A command that is sent earlier connects at once.
 */
export class RedisConnections implements OnModuleInit, OnApplicationShutdown {
  readonly keyspace: Keyspace;
  readonly clock: Clock;
  /** `host:pid:start`: names this start of this process to people and to other processes. */
  readonly processId = makeProcessId();
  readonly shutdown: Shutdown;
  readonly logger = new SafeLogger('Sluice');
  readonly #connections = new Map<string, RedisConnection>();

  readonly #bootHold: BootHold | undefined;

  /** @param options.bootHold for connections of an app that boots: see {@link BootHold} */
  constructor(options: {
    namespace?: string | undefined;
    redis?: RedisOptions | undefined;
    clock?: Clock;
    bootHold?: BootHold;
  }) {
    this.#bootHold = options.bootHold;
    this.keyspace = new Keyspace(options.namespace);
    this.clock = options.clock ?? systemClock;
    const onError = (error: unknown, what?: string): void => {
      this.logger.error(what === undefined ? error : `${what}: ${String(error)}`);
    };
    const onWarning = (message: string): void => {
      this.logger.warn(message);
    };
    const onNote = (message: string): void => {
      this.logger.log(message);
    };
    this.shutdown = new Shutdown(onError);
    for (const config of resolveRedisOptions(options.redis)) {
      const context = {
        keyspace: this.keyspace,
        clock: this.clock,
        processId: this.processId,
        bootHold: this.#bootHold,
        onError,
        onWarning,
        onNote,
      };
      this.#connections.set(config.name, new RedisConnection(config, context));
    }
  }

  /**
   * The connection of that name; `default`, or the only one, if none is given.
   *
   * @throws SluiceError `SLUICE_UNKNOWN_CONNECTION` naming those that exist
   */
  get(name?: string): RedisConnection {
    const connection = this.#connections.get(name ?? 'default');
    if (connection) return connection;
    const known = [...this.#connections.keys()].map((each) => `'${each}'`).join(', ');
    throw new SluiceError(
      'SLUICE_UNKNOWN_CONNECTION',
      `there is no Redis connection '${name ?? 'default'}'; redis.connections has ${known}`,
    );
  }

  /** Connects all. Closes what did open when one fails, so that a failed boot leaves no socket behind. */
  async open(): Promise<this> {
    try {
      await Promise.all([...this.#connections.values()].map((connection) => connection.open()));
    } catch (error) {
      await this.#closeAll();
      throw error;
    }
    return this;
  }

  async onModuleInit(): Promise<void> {
    await this.open();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.shutdown.close();
    await this.#closeAll();
  }

  async #closeAll(): Promise<void> {
    this.#bootHold?.end();
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
  }
}
