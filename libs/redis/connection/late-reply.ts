import type { Command } from 'ioredis';

/**
 * A command that was failed takes no reply any more: `late` gets it, as the command would have converted it.
 *
 * A function that is assigned to a property where it is written is born in V8's old space, and what it refers to lives until the
 * next full collection. One that has a name first is not (see ADR 19).
 */
export function tellLate(sent: Command, settle: () => boolean, late: (reply: unknown) => void): void {
  const { resolve } = sent;
  const settled: typeof resolve = (reply) => {
    if (settle()) resolve(reply);
    else late(sent.transformReply(reply as Buffer));
  };
  sent.resolve = settled;
}
