/** The child's side of `forkApp()`: answers calls, sends events, and ends with its parent. */

/** What an app can be asked to do. Arguments and results travel by structured clone. */
export type Ops = Record<string, (...args: never[]) => unknown>;

export interface ServeOptions {
  ops: Ops;
  /** Runs on a graceful stop, before the process is expected to exit by itself. */
  stop?: () => unknown;
}

export interface CarriedError {
  name: string;
  message: string;
  code?: string;
  stack?: string;
}

export type FromParent = { call: number; op: string; args: unknown[] } | { stop: true };
export type FromChild =
  | { ready: true }
  | { event: string; payload: unknown }
  | { reply: number; result: unknown }
  | { reply: number; error: CarriedError };

/** Starts to serve `ops` to the parent; what `forkApp()` waits for. */
export function serve({ ops, stop }: ServeOptions): void {
  let stopping = false;
  process.on('message', (message: FromParent) => {
    if ('call' in message) {
      void answer(ops, message);
      return;
    }
    stopping = true;
    void (async () => {
      await stop?.();
      // No process.exit(): whatever keeps the process alive from here on is a leak, and the parent reports it.
      process.disconnect();
    })();
  });
  process.on('disconnect', () => {
    if (!stopping) process.exit(1);
  });
  tell({ ready: true });
}

/** Sends an event to the parent's `app.on(event)`. */
export function emit(event: string, payload?: unknown): void {
  tell({ event, payload });
}

async function answer(ops: Ops, { call, op, args }: { call: number; op: string; args: unknown[] }): Promise<void> {
  try {
    const run = ops[op];
    if (!run) throw new Error(`the app has no op '${op}', only ${Object.keys(ops).join(', ')}`);
    tell({ reply: call, result: await run(...(args as never[])) });
  } catch (thrown) {
    tell({ reply: call, error: carried(thrown) });
  }
}

function carried(thrown: unknown): CarriedError {
  if (!(thrown instanceof Error)) return { name: 'Error', message: String(thrown) };
  const code = (thrown as { code?: unknown }).code;
  return {
    name: thrown.name,
    message: thrown.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(thrown.stack === undefined ? {} : { stack: thrown.stack }),
  };
}

function tell(message: FromChild): void {
  // The parent may be gone; then 'disconnect' ends this process.
  if (process.connected) process.send?.(message);
}
