/** Postgres in a process of its own: it computes in WebAssembly, and would hold up whoever shares its event loop. */
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import type { Serving } from './follow.js';

// However the launcher ended: the kernel closes the channel after a SIGKILL too.
process.once('disconnect', () => process.exit(0));

const db = await PGlite.create();
// One by default. Statements of all connections queue up before the one database.
const server = new PGLiteSocketServer({ db, port: 0, maxConnections: 100 });
await server.start();
process.send?.({ url: `postgres://postgres@${server.getServerConn()}/postgres` } satisfies Serving);
