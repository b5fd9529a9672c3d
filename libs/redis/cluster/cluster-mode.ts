import type { Link } from '../connection/link.js';
import { isReplyError } from '../redis.errors.js';
import { CLUSTER_SLOTS } from './slot.js';

/** What INFO of a server in cluster mode has. The fields are in two sections, and some services leave one of them out. */
const CLUSTER_MODE = /^(?:redis_mode:cluster|cluster_enabled:1)\r?$/m;

export function isInClusterMode(info: string): boolean {
  return CLUSTER_MODE.test(info);
}

/**
 * Why a server cannot be used behind one address because of its cluster mode, in one sentence that names the fix. Undefined if it
 * can: it is not in cluster mode, or it has all slots itself (a Cluster with one shard, or a proxy in front of several).
 *
 * @throws RedisUnavailableError as {@link Link.send}
 */
export async function clusterFault(link: Link, info: string): Promise<string | undefined> {
  if (!isInClusterMode(info)) return undefined;
  const db = link.client.options.db ?? 0;
  if (db !== 0) {
    return `the server is in cluster mode, which has database 0 only, and db is ${db}. Leave db out, and use namespace instead`;
  }
  let nodes: string;
  try {
    nodes = await link.send<string>('cluster', ['nodes'], { quiet: true });
  } catch (error) {
    if (!isReplyError(error, '')) throw error;
    return (
      `the server is in cluster mode, and whether it has all ${CLUSTER_SLOTS} slots cannot be told: CLUSTER NODES answered ` +
      `${String(error)}. Grant it with ACL SETUSER (+cluster|nodes)`
    );
  }
  const slots = ownSlots(nodes);
  if (slots === CLUSTER_SLOTS) return undefined;
  return (
    `the server is one node of a Redis Cluster and has ${slots} of its ${CLUSTER_SLOTS} slots: commands on all other keys would fail. ` +
    'Redis Cluster with several shards is not supported yet. Use one Redis, a Sentinel group ({ sentinels, name }), or the ' +
    'primary of a Cluster with one shard'
  );
}

/**
 * How many slots the server that answered CLUSTER NODES serves itself. Its line has the flag `myself` in the third field, and its
 * slots from the ninth on: `5`, `0-16383`, and `[93->-…]` for a slot that moves.
 */
export function ownSlots(nodes: string): number {
  const own = nodes.split('\n').find((line) => line.split(' ')[2]?.split(',').includes('myself'));
  let slots = 0;
  for (const range of own?.trim().split(' ').slice(8) ?? []) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    if (first !== undefined) slots += Number(last) - Number(first) + 1;
  }
  return slots;
}
