/** What differs between deployments, from the environment. */
export const settings = {
  /** Tells the instances apart in the books of the services that they call. */
  instance: env('INSTANCE', 'shop'),
  port: Number(env('PORT', '3000')),
  redisUrl: env('REDIS_URL', 'redis://localhost:6379'),
  namespace: env('NAMESPACE', 'shop'),
  sourceUrl: env('SOURCE_URL', 'http://localhost:3001'),
  gatewayUrl: env('GATEWAY_URL', 'http://localhost:3002'),
};

function env(name: string, fallback: string): string {
  return process.env[name] ?? fallback;
}
