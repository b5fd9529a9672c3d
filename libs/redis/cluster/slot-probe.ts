import type { Link } from '../connection/link.js';
import type { Keyspace } from '../keyspace.js';
import { isReplyError } from '../redis.errors.js';
import { clusterFault, isInClusterMode } from './cluster-mode.js';
import type { ServerSlots } from './server-slots.js';
import { slotOf } from './slot.js';

/**
 * Asks the server of a connection, on every connect, whether it knows slots. A proxy in front of a Cluster may say that it is one
 * server without cluster mode. So a server that says so is also given a call with keys of two slots, which does nothing.
 */
export class SlotProbe {
  readonly #link: Link;
  readonly #slots: ServerSlots;
  readonly #keys: readonly [string, string];
  #info: Promise<string> | undefined;

  constructor(link: Link, slots: ServerSlots, keyspace: Keyspace) {
    this.#link = link;
    this.#slots = slots;
    this.#keys = keysOfTwoSlots(keyspace);
    link.onDown(() => {
      this.#info = undefined;
      slots.forget();
    });
    link.onUp(() => {
      // The boot reports a refused INFO, and the connection reports an outage.
      this.info().catch(() => {});
    });
  }

  /**
   * The server's INFO, asked once per connect. When it is here, the server has also been asked about slots.
   *
   * @throws RedisUnavailableError, RedisRefusedError as {@link Link.send}
   */
  info(): Promise<string> {
    return (this.#info ??= this.#ask());
  }

  /** Why the server cannot be used because of its cluster mode; undefined if it can, or if that cannot be found out now. */
  async fault(): Promise<string | undefined> {
    try {
      return await clusterFault(this.#link, await this.info());
    } catch {
      // The server is gone again, or INFO is refused. The check of the server reports that.
      return undefined;
    }
  }

  async #ask(): Promise<string> {
    let info: string;
    try {
      info = await this.#link.send<string>('info', [], { quiet: true });
    } catch (error) {
      // Without INFO, only the call tells. Without rights for either, the server counts as one that knows slots.
      if (isReplyError(error, '')) this.#slots.learn((await this.#refusesTwoSlots()) ?? true);
      throw error;
    }
    this.#slots.learn(isInClusterMode(info) || ((await this.#refusesTwoSlots()) ?? false));
    return info;
  }

  /** Undefined if the server does not say, because the user has no right to these keys or to scripts. */
  async #refusesTwoSlots(): Promise<boolean | undefined> {
    try {
      await this.#link.send('eval', ['return 1', 2, ...this.#keys], { quiet: true });
      return false;
    } catch (error) {
      if (isReplyError(error, 'CROSSSLOT')) return true;
      if (isReplyError(error, '')) return undefined;
      throw error;
    }
  }
}

function keysOfTwoSlots(keyspace: Keyspace): readonly [string, string] {
  const first = keyspace.tag('slots');
  let second = first;
  for (let n = 1; slotOf(second) === slotOf(first); n++) second = keyspace.tag(`slots-${n}`);
  return [`${first}~`, `${second}~`];
}
