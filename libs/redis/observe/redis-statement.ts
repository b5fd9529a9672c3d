/** Commands whose arguments are secrets from the first one on. */
const SECRET = new Set(['auth', 'hello', 'acl', 'config', 'migrate', 'failover']);

/** Commands that run a script or a function: its text or name, the number of keys, the keys, and then values. */
const SCRIPTED = new Set(['eval', 'eval_ro', 'evalsha', 'evalsha_ro', 'fcall', 'fcall_ro']);

/** A key in a statement is cut here, in characters. */
const SHOWN = 100;

/**
 * The text that a span may show of a command that was sent to Redis: its name and its keys, never a value.
 *
 * For `dbStatementSerializer` of OpenTelemetry's ioredis instrumentation. Without it, a span of every script carries all
 * arguments of the script, and cached values and payloads among them.
 *
 * @example
 * new IORedisInstrumentation({ dbStatementSerializer: redisStatement })
 */
export function redisStatement(command: string, args: readonly unknown[]): string {
  const name = command.toLowerCase();
  if (SECRET.has(name)) return others(name, args.length);
  const shown = SCRIPTED.has(name) ? scripted(args) : args.slice(0, 1).map(text);
  return others([name, ...shown].join(' '), args.length - shown.length);
}

function scripted([script, count, ...rest]: readonly unknown[]): string[] {
  const hash = text(script);
  const keys = Math.max(0, Math.min(rest.length, Number(text(count)) || 0));
  return [/^[0-9a-f]{40}$/.test(hash) ? hash : '[script]', String(keys), ...rest.slice(0, keys).map(text)];
}

function others(statement: string, count: number): string {
  return count > 0 ? `${statement} [${count} other arguments]` : statement;
}

function text(value: unknown): string {
  const whole = typeof value === 'string' || typeof value === 'number' || Buffer.isBuffer(value) ? String(value) : '?';
  return whole.length > SHOWN ? `${whole.slice(0, SHOWN)}…` : whole;
}
