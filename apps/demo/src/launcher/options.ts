import { parseArgs } from 'node:util';

export interface LauncherOptions {
  /** Exit after the scenario. */
  once: boolean;
  /** The figures as one JSON object on standard output, everything else on standard error. */
  json: boolean;
  redis: RedisChoice;
  /** Somebody's Postgres, of which a schema is borrowed; without it, one in WebAssembly. */
  databaseUrl: string | undefined;
  /** Where the page is served; 0: any free port. */
  port: number;
}

/** Somebody's server, which is only borrowed; a private `redis-server`; or js-redis-server, in this process. */
export type RedisChoice = { kind: 'borrowed'; url: string } | { kind: 'private' } | { kind: 'embedded' };

export function readOptions(args: string[], env: NodeJS.ProcessEnv): LauncherOptions {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: 'boolean' },
      json: { type: 'boolean' },
      redis: { type: 'string' },
      port: { type: 'string' },
    },
  });
  if (values.redis !== undefined && values.redis !== 'embedded') {
    throw new Error(`--redis=${values.redis}: only 'embedded' can be asked for`);
  }
  const port = Number(values.port ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error(`--port=${values.port ?? ''}: a number from 0 to 65535 is needed`);
  }
  const embedded = values.redis === 'embedded' || env['SLUICE_REDIS_EMBEDDED'] === '1';
  const url = env['SLUICE_REDIS_URL'];
  return {
    once: values.once ?? false,
    json: values.json ?? false,
    databaseUrl: env['DATABASE_URL'] || undefined,
    port,
    redis: embedded ? { kind: 'embedded' } : url ? { kind: 'borrowed', url } : { kind: 'private' },
  };
}
