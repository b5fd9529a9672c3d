/** What the harness' own specs ask of a forked app: good and bad manners of a child process. */
import { spawn } from 'node:child_process';
import { SluiceError } from 'nestjs-sluice/weave';
import { startRedis } from 'nestjs-sluice/testing';
import { emit, serve } from '../support/app-host.js';

serve({
  ops: {
    echo: (...values: unknown[]) => values,
    env: (name: string) => process.env[name],
    fail: () => {
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
    block: (ms: number) => {
      const end = performance.now() + ms;
      while (performance.now() < end);
    },
    startRedis: async () => {
      const redis = await startRedis();
      return { pid: redis.pid, port: redis.port };
    },
    /** A process that outlives this one and inherits whatever leaks to children. */
    grandchild: () => {
      const child = spawn('sleep', ['30'], { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
      child.unref();
      return child.pid;
    },
  },
});
