/** What differs between deployments, from the environment. */
export const settings = {
  /** Tells the instances apart in the books of the services that they call. */
  instance: env('INSTANCE', 'shop'),
  port: Number(env('PORT', '3000')),
  redisUrl: env('REDIS_URL', 'redis://localhost:6379'),
  namespace: env('NAMESPACE', 'shop'),
  databaseUrl: env('DATABASE_URL', 'postgres://localhost:5432/shop'),
  gatewayUrl: env('GATEWAY_URL', 'http://localhost:3002'),
  mailUrl: env('MAIL_URL', 'http://localhost:3003'),
};

function env(name: string, fallback: string): string {
  return process.env[name] ?? fallback;
}
