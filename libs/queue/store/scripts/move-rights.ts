/**
 * The commands that move a task from one place to another: scripts that use them are refused as a whole if the user lacks one. All of them
 * are among those without which no worker boots (`workRights`).
 */
export const MOVES: readonly string[] = [
  ...['XACK', 'XADD', 'XCLAIM', 'XDEL', 'XINFO GROUPS'],
  ...['ZADD', 'ZREM', 'ZRANGE', 'ZSCORE', 'ZMSCORE', 'HSET', 'HDEL', 'PEXPIRE', 'UNLINK'],
];

/** The commands that count the end of a task in its join, and publish what follows. */
export const JOIN_WRITES: readonly string[] = ['XADD', 'HSET', 'PEXPIRE', 'UNLINK'];
