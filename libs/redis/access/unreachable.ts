import { SluiceError } from '../../weave/index.js';
import type { ResolvedConnection } from '../redis.options.js';
import { isDenied } from '../connection/server-errors.js';

/** What a connect failed with, in words of Node, OpenSSL and Redis, and what helps. The first that fits is told. */
const FIXES: readonly (readonly [words: RegExp, over: 'tls' | 'plain' | 'both', fix: string])[] = [
  [/credentials\(\) failed/i, 'both', 'Correct the function, or what it asks'],
  [
    /self[- ]signed certificate|unable to (verify|get).* certificate/,
    'both',
    'The certificate of the server is not trusted: give the one of its authority as redis.tls.ca',
  ],
  [
    /certificate has expired|certificate is not yet valid/,
    'both',
    'Renew the certificate of the server, or set the clock',
  ],
  [
    /does not match certificate's altnames/,
    'both',
    'Connect by a name that the certificate has, or give that name as redis.tls.servername',
  ],
  [/wrong version number|packet length too long/, 'tls', 'If that port takes no TLS, use redis:// and no redis.tls'],
  [/no answer/, 'tls', 'Start Redis; if that port takes no TLS, use redis:// and no redis.tls'],
  [
    /closed|reset|ECONNRESET|EPIPE|alert/i,
    'tls',
    'If the server asks for a certificate, give one as redis.tls.cert and redis.tls.key',
  ],
  [/closed|reset|ECONNRESET|EPIPE/i, 'plain', 'If that port takes TLS, use rediss:// or redis.tls'],
  [/unknown command.*info/i, 'both', 'If the server has no INFO, set redis.enableReadyCheck: false'],
];

const USUAL = "Start Redis, correct SluiceModule's redis option, or set required: false";

/** Why a boot could not connect, with what was tried and what helps. */
export function unreachable(config: ResolvedConnection, address: string, cause: Error | undefined): SluiceError {
  const why = (cause?.message ?? 'no answer').replace(/\.$/, '');
  const what = isDenied(cause)
    ? `refused the credentials: ${why}. Correct ${loginOf(config)}`
    : `could not be reached within ${config.bootTimeoutMs} ms: ${why}. ${fixOf(config, why)}`;
  return new SluiceError('SLUICE_REDIS_UNREACHABLE', `Redis connection '${config.name}' (${address}) ${what}`, {
    cause,
  });
}

function loginOf({ credentials }: ResolvedConnection): string {
  return credentials === undefined
    ? "username and password in SluiceModule's redis option"
    : 'what the function redis.credentials answers';
}

function fixOf({ url, client, clientOptions }: ResolvedConnection, why: string): string {
  const { tls, sentinelTLS } = client?.options ?? clientOptions;
  const over = tls !== undefined || sentinelTLS !== undefined || url?.startsWith('rediss:') === true ? 'tls' : 'plain';
  const known = FIXES.find(([words, only]) => (only === 'both' || only === over) && words.test(why));
  return known?.[2] ?? USUAL;
}
