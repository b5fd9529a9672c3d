import { describe, expect, it } from '@jest/globals';
import { Loop } from './loop.js';

/** A loop whose turns end when the test says so. */
function steppedLoop() {
  const turns: { end: (restMs?: number) => void; fail: (error: Error) => void }[] = [];
  const errors: unknown[] = [];
  let arrived = (): void => {};
  const loop = new Loop({
    name: 'test',
    turn: () =>
      new Promise((resolve, reject) => {
        turns.push({ end: resolve, fail: reject });
        arrived();
      }),
    onError: (error) => errors.push(error),
  });
  /** Resolves when the n-th turn has begun. */
  const turn = async (n: number) => {
    while (turns.length < n) await new Promise<void>((resolve) => (arrived = resolve));
    return turns[n - 1]!;
  };
  return { loop, turns, turn, errors };
}

describe('Loop', () => {
  it('runs turns one at a time and rests between them', async () => {
    const { loop, turns, turn } = steppedLoop();
    loop.start();
    loop.start();
    (await turn(1)).end(1);
    (await turn(2)).end();
    expect(turns).toHaveLength(2);
    await loop.stop();
  });

  it('loses no wake: one during a turn makes the next follow at once', async () => {
    const { loop, turn } = steppedLoop();
    loop.start();
    const first = await turn(1);
    loop.wake();
    first.end();
    (await turn(2)).end();
    loop.wake();
    await turn(3);
    const stopped = loop.stop();
    (await turn(3)).end();
    await stopped;
  });

  it('survives errors, and reports them', async () => {
    const { loop, turn, errors } = steppedLoop();
    loop.start();
    (await turn(1)).fail(new Error('first'));
    (await turn(2)).end(60_000);
    expect(errors).toEqual([new Error('first')]);
    await loop.stop();
  });

  it('stops after the current turn, and never starts again', async () => {
    const { loop, turns, turn, errors } = steppedLoop();
    loop.start();
    const first = await turn(1);
    let stopped = false;
    const stop = loop.stop().then(() => (stopped = true));
    await Promise.resolve();
    expect(stopped).toBe(false);
    first.fail(new Error('cut short'));
    await stop;
    loop.start();
    loop.wake();
    await loop.stop();
    expect(turns).toHaveLength(1);
    expect(errors).toEqual([]);
  });

  it('may be stopped before it starts', async () => {
    const { loop, turns } = steppedLoop();
    await loop.stop();
    loop.start();
    expect(turns).toHaveLength(0);
  });
});
