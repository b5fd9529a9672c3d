/** Where a process goes on answering what it should have forgotten. */
import { until } from '../until.js';
import type { Finding, Scenario } from './scenario.js';
import type { Member, Stage } from './stage.js';

export const quiet: Scenario = {
  letter: '0',
  title: 'Nothing goes wrong',
  order: 'For comparison: two processes have read a key, and one of them deletes it; the same with a tag of the key.',
  right: 'The other process soon reads the new value.',
  needs: 'local copies that hear of changes',
  processes: 2,
  async play(stage, { tags }) {
    const [reader, other] = stage.members as [Member, Member];
    const changes = [() => other.delete('k'), ...(tags ? [() => other.invalidateTag('tag')] : [])];
    for (const change of changes) {
      await other.ask('k');
      await reader.ask('k');
      stage.version++;
      await change();
      const finding = await readsAtLast(stage, reader);
      if (!finding.right) return finding;
    }
    return { right: true, seen: 'the new value' };
  },
};

export const overtakenAnswer: Scenario = {
  letter: 'G',
  title: 'An answer arrives after the invalidation',
  order:
    'A process asks Redis for a stored key. Before the answer arrives, another process deletes the key, and the message about that arrives on another socket. Then the answer arrives.',
  right: 'The answer is not kept: the process soon reads the new value.',
  needs: 'local copies that hear of changes',
  processes: 2,
  async play(stage, { tells }) {
    const [reader, other] = stage.members as [Member, Member];
    const stored = await other.ask('k');
    reader.link.hold();
    const asked = reader.ask('k');
    await until(() => reader.link.held.includes(String(stored)), { what: 'Redis has answered', everyMs: 2 });
    stage.version++;
    const before = reader.link.heard;
    await other.delete('k');
    const heard = await stage.hears(reader, before);
    if (tells && !heard) throw new Error('the message has not arrived: this is not the order that was to be played');
    await reader.turn();
    reader.link.release();
    await asked;
    return readsAtLast(stage, reader);
  },
};

export const missedMessage: Scenario = {
  letter: 'I',
  title: 'An invalidation is missed',
  order:
    'A process has a local copy. The socket that brings it invalidations goes dead without being closed; then another process deletes the key.',
  right: 'The process soon reads the new value.',
  needs: 'local copies that hear of changes',
  processes: 2,
  spoils: true,
  async play(stage, { tells }) {
    const [reader, other] = stage.members as [Member, Member];
    await reader.ask('k');
    await reader.ask('k');
    const deaf = reader.link.deafen();
    if (tells && deaf === 0) throw new Error('nothing hears: this is not the order that was to be played');
    stage.version++;
    await other.delete('k');
    return readsAtLast(stage, reader);
  },
};

async function readsAtLast(stage: Stage, reader: Member): Promise<Finding> {
  const { boundMs } = stage.patience;
  const right = (await stage.readsAtLast(reader, 'k')) === stage.says;
  return { right, seen: right ? 'the new value' : `the old value, still ${boundMs / 1_000} s later` };
}
