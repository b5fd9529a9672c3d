/**
 * What the harness' own specs ask of a forked app: good and bad manners of a child process. Most of them need no library,
 * which takes a process ten times as long to load as to start: an op that needs one loads it.
 */
import { spawn } from 'node:child_process';
import { emit, serve } from '../support/app-host.js';
import { forkApp } from '../support/fork-app.js';

serve({
  ops: {
    echo: (...values: unknown[]) => values,
    env: (name: string) => process.env[name],
    fail: async () => {
      const { SluiceError } = await import('nestjs-sluice/weave');
      throw new SluiceError('SLUICE_BAD_OPTION', 'as asked');
    },
    hang: () => new Promise(() => {}),
    exit: (code: number) => process.exit(code),
    tick: (count: number) => {
      for (let i = 1; i <= count; i++) emit('tick', i);
    },
    print: (line: string) => {
      console.log(line);
    },
    leak: () => {
      setInterval(() => {}, 1_000);
    },
    startRedis: async () => {
      const [{ Redis }, { startRedis }] = await Promise.all([import('ioredis'), import('nestjs-sluice/testing')]);
      const redis = await startRedis();
      const client = new Redis(redis.url);
      const [, dir] = (await client.config('GET', 'dir')) as [string, string];
      client.disconnect();
      return { pid: redis.pid, dir };
    },
    /** An app of this app, kept busy by a timer, so that it does not just run out of things to do. */
    forkApp: async () => {
      const app = await forkApp('harness-probe');
      await app.call('leak');
      return app.pid;
    },
    /** A process that outlives this one and inherits whatever leaks to children. */
    grandchild: () => {
      const child = spawn('sleep', ['30'], { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
      child.unref();
      return child.pid;
    },
  },
});
