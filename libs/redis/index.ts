/**
 * The base layer that knows Redis. Only this library imports ioredis.
 *
 * - `connection/` sockets: one for commands, one subscriber, further ones for blocking reads
 * - `access/` credentials, TLS, and the rights of the user
 * - `cluster/` slots of keys, and whether the server knows slots
 * - `script/` Lua scripts with named, typed keys and arguments
 * - `inbox/` messages to one process, by pub/sub
 * - `limits/` the state of a rate limit, as Lua for scripts of several features
 * - `time/` clocks, loops, deadlines, back-off
 * - `collections/` maps that make no garbage, and one that forgets what is not used
 *
 * @see ARCHITECTURE.md#the-base-layer
 * @packageDocumentation
 */

export { BlockingSocket, READ_GRACE_MS, type SocketName } from './connection/blocking-socket.js';
export { backoffMs, type Random } from './time/backoff.js';
export { BriefMap } from './collections/brief-map.js';
export { GenerationalMap, type GenerationalMapOptions } from './collections/generational-map.js';
export { systemClock, type CancelTimer, type Clock } from './time/clock.js';
export type { ServerSlots } from './cluster/server-slots.js';
export { slotOf } from './cluster/slot.js';
export { RedisConnection } from './connection/connection.js';
export { rightsOn, type Right } from './access/rights.js';
export { RedisConnections } from './connection/connections.js';
export { debugLog, type DebugLog } from './debug-log.js';
export { destroyModuleFirst } from './destroy-module-first.js';
export { Deadline, DeadlineQueue } from './time/deadline-queue.js';
export { FRAME, frame, unframe } from './inbox/frame.js';
export { certainMs, instantOf, remainingMs, type Instant } from './time/instant.js';
export { INBOX_MAX_BYTES, Inbox, type InboxHandler, type ProofNeed } from './inbox/inbox.js';
export { Keyspace, checkKey, checkName } from './keyspace.js';
export { EncodedCommand, type CommandArg } from './connection/encoded-command.js';
export { Link, type SendOptions } from './connection/link.js';
export { BLOCK_BYTES, LIMIT, LIMIT_NOW } from './limits/limit.fragment.js';
export { LIMIT_US } from './limits/limit-us.fragment.js';
export { LIMIT_MAX, RING_MAX, SLOTS } from './limits/sliding.fragment.js';
export { NONCE_BYTES } from './limits/traces.js';
export { USUAL } from './limits/usual.fragment.js';
export { Loop, type LoopOptions } from './time/loop.js';
export { PROCESS_ID_PATTERN, parseProcessId, type ProcessId } from './process-id.js';
export {
  NewerDataError,
  REDIS_REFUSALS,
  RedisRefusedError,
  RedisUnavailableError,
  describeUses,
  isReplyError,
  isUnavailable,
  type RedisOutcome,
  type RedisRefusal,
} from './redis.errors.js';
export {
  REDIS_CONNECTIONS,
  SLUICE_CLOCK,
  SluiceRedisModule,
  noOptions,
  type SluiceRedisModuleOptions,
} from './redis.module.js';
export type { CredentialsFunction, RedisCredentials } from './access/credentials.js';
export type { ConnectionOptions, RedisOptions } from './redis.options.js';
export { defineFragment, lua, type Fragment, type LuaText } from './script/fragment.js';
export { defineScript, type Script, type ScriptCall } from './script/script.js';
export { unknownUses, usesFragment, type UnknownUse } from './script/uses.fragment.js';
export {
  REDIS_CHANNELS,
  type RedisAcceptingMessage,
  type RedisLostMessage,
  type RedisMessage,
  type RedisMessages,
  type RedisRefusingMessage,
  type RedisRestoredMessage,
} from './observe/redis.channels.js';
export type { ConnectionStats } from './observe/connection-health.js';
export { redisStatement } from './observe/redis-statement.js';
export { checkShutdownHooksLater } from './shutdown-hooks.js';
export { Transition, type TransitionOptions } from './transition.js';
export { Shutdown, type ShutdownStep } from './shutdown.js';
