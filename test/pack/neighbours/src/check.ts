/** What every check of this app uses: a module of its own, a Redis namespace of its own, and a line per check. */
import { createServer, type AddressInfo } from 'node:net';
import { Module, type ModuleMetadata, type Type } from '@nestjs/common';
import { SluiceModule, type SluiceOptions } from 'nestjs-sluice';

let modules = 0;

/** Sluice on the Redis of this run. Two apps with one `namespace` share locks and cache. */
export function sluice(namespace: string, options: SluiceOptions = {}) {
  const redis = { url: process.env['SLUICE_REDIS_URL']! };
  return SluiceModule.forRoot({ namespace: `neighbours-${process.pid}-${namespace}`, redis, ...options });
}

/** A module as an app's root. */
export function moduleOf(metadata: ModuleMetadata): Type {
  class AppModule {}
  Object.defineProperty(AppModule, 'name', { value: `AppModule${++modules}` });
  Module(metadata)(AppModule);
  return AppModule;
}

export async function check(what: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
    console.log(`ok: ${what}`);
  } catch (error) {
    console.error(`failed: ${what}`, error);
    process.exitCode = 1;
  }
}

export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !holds();) {
    if (Date.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
