import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import type { Serving } from './follow.js';

const PROCESS = fileURLToPath(new URL('./postgres-process.js', import.meta.url));

/** The Postgres of this run. */
export interface DemoPostgres {
  /** What the app is given as DATABASE_URL. */
  url: string;
  /** What it is, for people. Names no password. */
  label: string;
  /** The launcher's own connection, to read the books without the app in between. */
  client: Client;
  close(): Promise<void>;
}

/** @param url somebody's server, of which a schema is used; without it, PGlite in a child process of this one */
export async function openPostgres(url: string | undefined, schema: string): Promise<DemoPostgres> {
  return url ? borrow(url, schema) : embed();
}

async function embed(): Promise<DemoPostgres> {
  const child = fork(PROCESS, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], detached: true });
  try {
    const url = await serving(child);
    const client = await connect(url);
    return {
      url,
      label: 'PGlite (Postgres in WebAssembly)',
      client,
      async close() {
        await client.end();
        await stop(child);
      },
    };
  } catch (error) {
    await stop(child);
    throw error;
  }
}

async function borrow(url: string, schema: string): Promise<DemoPostgres> {
  const { host } = new URL(url);
  const client = await connect(url);
  await client.query(`create schema "${schema}"`);
  await client.query(`set search_path to "${schema}"`);
  const own = new URL(url);
  own.searchParams.set('options', `-c search_path=${schema}`);
  return {
    url: own.href,
    label: `Postgres at ${host}`,
    client,
    async close() {
      await client.query(`drop schema "${schema}" cascade`);
      await client.end();
    },
  };
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  let broken: Error | undefined;
  client.on('error', (error) => (broken = error));
  try {
    await client.connect();
    return client;
  } catch (error) {
    const reason = broken ?? error;
    throw new Error(
      `no Postgres at ${new URL(url).host}: ${reason instanceof Error ? reason.message : String(reason)}`,
      {
        cause: error,
      },
    );
  }
}

function serving(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_096)));
    child.once('message', ({ url }: Serving) => {
      resolve(url);
    });
    child.once('close', (code) => {
      reject(new Error(`Postgres does not start: exit code ${String(code)}\n${said.trimEnd()}`));
    });
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  // It keeps nothing that could be lost.
  child.kill('SIGKILL');
  await gone;
}
