import { afterEach, describe, expect, it } from '@jest/globals';
import { alive } from './alive.js';
import { forkApp, type ForkedApp } from './fork-app.js';
import { until } from './until.js';

describe('forkApp', () => {
  let app: ForkedApp;
  afterEach(() => app.kill());

  it('carries arguments and results', async () => {
    app = await forkApp('harness-probe', { env: { PROBE: 'yes' } });
    const values = ['a', 1, 2n, undefined, new Map([['k', new Date(0)]])];
    expect(await app.call('echo', ...values)).toEqual(values);
    expect(await app.call('env', 'PROBE')).toBe('yes');
  });

  it('carries errors with name, message and code', async () => {
    app = await forkApp('harness-probe');
    const failed = app.call('fail');
    await expect(failed).rejects.toBeInstanceOf(Error);
    await expect(failed).rejects.toMatchObject({ name: 'SluiceError', message: 'as asked', code: 'SLUICE_BAD_OPTION' });
    await expect(app.call('nonsense')).rejects.toThrow("no op 'nonsense'");
  });

  it('delivers events in order', async () => {
    app = await forkApp('harness-probe');
    const ticks: number[] = [];
    const off = app.on('tick', (tick: number) => ticks.push(tick));
    const first = app.once<number>('tick');
    await app.call('tick', 3);
    expect(await first).toBe(1);
    expect(ticks).toEqual([1, 2, 3]);
    off();
    await app.call('tick', 1);
    expect(ticks).toHaveLength(3);
  });

  it('rejects what is under way when the app is killed, and everything after', async () => {
    app = await forkApp('harness-probe');
    await app.call('print', 'last words');
    const hanging = expect(app.call('hang')).rejects.toThrow(/ended with SIGKILL\nlast words/);
    const waiting = expect(app.once('tick')).rejects.toThrow('ended with SIGKILL');
    await app.kill();
    expect(alive(app.pid)).toBe(false);
    await Promise.all([hanging, waiting]);
    await expect(app.call('echo')).rejects.toThrow('ended with SIGKILL');
    await expect(app.once('tick')).rejects.toThrow('ended with SIGKILL');
  });

  it('freezes and thaws', async () => {
    app = await forkApp('harness-probe');
    app.pause();
    let answered = false;
    const echo = app.call('echo', 1).then(() => (answered = true));
    await until(async () => (await stateOf(app.pid)) === 'T', { what: 'the app is stopped' });
    expect(answered).toBe(false);
    app.resume();
    await echo;
  });

  it('stops gracefully', async () => {
    app = await forkApp('harness-probe');
    await app.stop();
    expect(alive(app.pid)).toBe(false);
    await app.stop();
  });

  it('reports an app that a leak keeps alive past its stop', async () => {
    app = await forkApp('harness-probe');
    await app.call('leak');
    await expect(app.stop(300)).rejects.toThrow('did not exit by itself within 300 ms');
    expect(alive(app.pid)).toBe(false);
  });

  it('dies with its parent', async () => {
    app = await forkApp('harness-probe');
    const grandchild = await app.call<number>('forkApp');
    expect(alive(grandchild)).toBe(true);
    await app.kill();
    try {
      await until(() => !alive(grandchild), { what: 'the app of the killed app is gone' });
    } finally {
      if (alive(grandchild)) process.kill(grandchild, 'SIGKILL');
    }
  });

  it('reports an app that exits with an error before it serves', async () => {
    app = await forkApp('harness-probe');
    await expect(forkApp('no-such-app')).rejects.toThrow('not built: npm run build');
    await expect(forkApp('harness-probe', { readyWithinMs: 1 })).rejects.toThrow('did not serve within 1 ms');
    await expect(forkApp('harness-probe', { execArgv: ['--import', './nowhere.mjs'] })).rejects.toThrow(/nowhere/);
  });
});

async function stateOf(pid: number): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  return (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.[0] ?? '';
}
