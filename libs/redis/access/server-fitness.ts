import { SluiceError } from '../../weave/index.js';
import type { SlotProbe } from '../cluster/slot-probe.js';
import type { Link } from '../connection/link.js';
import { serverFaults } from '../connection/server-check.js';
import { addressOf, type ResolvedConnection } from '../redis.options.js';
import type { Clock } from '../time/clock.js';
import { awaitPrimary } from './await-primary.js';
import { databaseFault } from './database-check.js';
import { missingRights, type Right } from './rights.js';

export interface ServerFitnessOptions {
  readonly link: Link;
  readonly probe: SlotProbe;
  readonly config: ResolvedConnection;
  readonly clock: Clock;
  /** Connects anew: the address may lead to another server by now. */
  readonly reconnect: () => void;
  readonly onError: (error: unknown, what: string) => void;
  readonly onWarning: (message: string) => void;
  /** The app runs, and the server cannot be used. The link refuses commands. */
  readonly onUseless: (reason: string) => void;
}

/**
 * Whether the server of a connection is fit for what the app does there: a primary, without slots of other nodes, with the
 * database of the options, of a supported version, and with a user that has the rights. Each fault names its fix.
 */
export class ServerFitness {
  readonly #options: ServerFitnessOptions;
  readonly #kept: string[] = [];
  readonly #rights: Right[] = [];
  #useless: SluiceError | undefined;

  constructor(options: ServerFitnessOptions) {
    this.#options = options;
  }

  /** Something is kept on the server that must not be evicted. */
  keep(what: string): void {
    this.#kept.push(what);
  }

  /** The next {@link check} looks at these rights too. */
  requireRights(rights: readonly Right[]): void {
    this.#rights.push(...rights);
  }

  /**
   * Looks at these rights now, in one round trip.
   *
   * @throws SluiceError `SLUICE_REDIS_UNFIT` if one of them is missing, unless the connection is not `required`
   */
  async checkRights(rights: readonly Right[]): Promise<void> {
    const { link, config, onError } = this.#options;
    const { refused } = await missingRights(link, rights);
    if (refused === undefined) return;
    const error = new SluiceError('SLUICE_REDIS_UNFIT', this.#told(refused));
    if (config.required) throw error;
    onError(error, 'server check');
  }

  /** The app runs already, so a fault is only reported. */
  checkWhenUp(): void {
    const { link, onError, onUseless } = this.#options;
    let checked = false;
    const check = (): void => {
      if (checked) return;
      checked = true;
      this.check().catch((error: unknown) => {
        onError(error, 'server check');
        if (!(error instanceof SluiceError) || error !== this.#useless) return;
        // Some commands would fail, and others would not. The next connect may lead to another server.
        checked = false;
        link.refuse(`is of no use: ${error.message}`);
        onUseless(error.message);
      });
    };
    if (link.up) check();
    link.onUp(check);
  }

  /** @throws SluiceError `SLUICE_REDIS_UNFIT`, `SLUICE_CLUSTER_UNSUPPORTED` with what is wrong */
  async check(): Promise<void> {
    const { link, probe, config, clock, reconnect, onWarning } = this.#options;
    const { required, bootTimeoutMs, strict } = config;
    const timeoutMs = required ? bootTimeoutMs : 0;
    const role = await awaitPrimary({ link, clock, timeoutMs, info: probe.info(), reconnect });
    // A replica refuses every write, whatever `strict` says. An app that does not wait for Redis is only warned.
    if (role !== undefined && required) throw new SluiceError('SLUICE_REDIS_UNFIT', this.#told(role));
    if (role !== undefined) onWarning(this.#told(role));
    const ofCluster = await probe.fault();
    const useless = ofCluster ?? (await databaseFault(link));
    if (useless !== undefined) {
      const code = ofCluster === undefined ? 'SLUICE_REDIS_UNFIT' : 'SLUICE_CLUSTER_UNSUPPORTED';
      throw (this.#useless = new SluiceError(code, this.#told(useless)));
    }
    const faults = await serverFaults(probe.info(), this.#kept, strict);
    const { refused, channels } = await missingRights(link, this.#rights);
    // A script that lacks one command fails half-way, and Redis does not undo what it has done.
    if (refused !== undefined) throw new SluiceError('SLUICE_REDIS_UNFIT', this.#told(refused));
    if (channels !== undefined) faults.push(channels);
    for (const fault of faults) {
      if (strict) throw new SluiceError('SLUICE_REDIS_UNFIT', this.#told(fault));
      onWarning(this.#told(fault));
    }
  }

  #told(fault: string): string {
    const { config } = this.#options;
    return `Redis connection '${config.name}' (${addressOf(config)}): ${fault}`;
  }
}
