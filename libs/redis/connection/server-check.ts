import { isReplyError } from '../redis.errors.js';

/** The parts of INFO that matter to an app that keeps data in this server. */
export interface ServerInfo {
  /** The name of the product: `Redis`, `Valkey`. */
  readonly product: string;
  readonly version: string;
  /** The version of Redis whose commands it knows. */
  readonly redisVersion: string;
  /** In bytes; 0: no limit. */
  readonly maxMemory: number;
  readonly evictionPolicy: string;
  /** The address of its primary, if the server is a replica. */
  readonly replicaOf: string | undefined;
}

/** The oldest Redis that everything here is tested on. */
const OLDEST = 7;

/** Reads the reply of INFO. A field that a server leaves out (an embedded one) counts as harmless. */
export function parseServerInfo(info: string): ServerInfo {
  const fields = new Map([...info.matchAll(/^([a-z_]+):(.*?)\r?$/gm)].map(([, name, value]) => [name, value ?? '']));
  const redisVersion = fields.get('redis_version') ?? '';
  const valkey = fields.get('valkey_version');
  return {
    product: valkey === undefined ? 'Redis' : 'Valkey',
    version: valkey ?? redisVersion,
    redisVersion,
    maxMemory: Number(fields.get('maxmemory') ?? 0),
    evictionPolicy: fields.get('maxmemory_policy') ?? 'noeviction',
    replicaOf:
      fields.get('role') === 'slave'
        ? `${fields.get('master_host') ?? '?'}:${fields.get('master_port') ?? '?'}`
        : undefined,
  };
}

/**
 * What is wrong with a server, in sentences that name the fix.
 *
 * @param kept what may not be evicted there: `'locks'`
 */
export function faultsOf(server: ServerInfo, kept: readonly string[]): string[] {
  const { product, version, redisVersion, maxMemory, evictionPolicy } = server;
  const faults: string[] = [];
  if (Number.parseInt(redisVersion) < OLDEST) {
    faults.push(`${product} ${version} is older than ${OLDEST}.0, the oldest that is supported. Upgrade it`);
  }
  if (kept.length > 0 && maxMemory > 0 && evictionPolicy !== 'noeviction') {
    faults.push(
      `maxmemory-policy is ${evictionPolicy}: when its memory is full it may drop ${kept.join(' and ')}. ` +
        'Set it to noeviction, or give these a server of their own (redis.connections)',
    );
  }
  return faults;
}

/** What is wrong with the server that answers this INFO, or that refuses to. Nothing is said of one that is gone again. */
export async function serverFaults(info: Promise<string>, kept: readonly string[], strict: boolean): Promise<string[]> {
  try {
    return faultsOf(parseServerInfo(await info), kept);
  } catch (error) {
    // The server is gone again, or the connection closes. The next command reports it.
    if (!isReplyError(error, '') && !strict) return [];
    return [`its version and maxmemory-policy could not be read: INFO answered ${String(error)}`];
  }
}
