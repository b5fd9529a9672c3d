import { isIPv6 } from 'node:net';
import { Logger, type ExecutionContext } from '@nestjs/common';

/** What is read of a request of Express or Fastify, of a bare Node request, or of a socket. */
interface Client {
  readonly ip?: unknown;
  /** Fastify has it only while a proxy is trusted. */
  readonly ips?: unknown;
  readonly headers?: Record<string, unknown>;
  /** The app of Express. */
  readonly app?: { get?: (setting: string) => unknown };
  readonly socket?: { remoteAddress?: unknown };
  /** Of Socket.IO. */
  readonly handshake?: { address?: unknown };
  /** Of ws. */
  readonly _socket?: { remoteAddress?: unknown };
}

/** What a GraphQL server puts into the context of an operation. Drivers differ. */
interface GraphqlContext {
  readonly req?: Client & { readonly extra?: { readonly request?: Client } };
  readonly request?: Client;
  readonly reply?: { readonly request?: Client };
  readonly extra?: { readonly request?: Client };
}

/** Reads the addresses of clients. */
export class ClientAddress {
  readonly #logger = new Logger('RateLimitGuard');
  #hasWarned = false;

  /** The address of the client of a call, as the key of a rate limit; undefined: the call has none. */
  of(context: ExecutionContext): string | undefined {
    const client = clientOf(context);
    if (client === undefined) return undefined;
    this.#warnOfProxy(client);
    const { ip, handshake, _socket, socket } = client;
    const addresses = [ip, handshake?.address, _socket?.remoteAddress, socket?.remoteAddress];
    const address = addresses.find((each) => typeof each === 'string' && each !== '');
    return typeof address === 'string' ? addressKey(address) : undefined;
  }

  /** All clients behind a proxy have its address, unless the server trusts the proxy; and any address, if it trusts everybody. */
  #warnOfProxy({ headers, app, ips, ip }: Client): void {
    if (this.#hasWarned || ip === undefined || headers?.['x-forwarded-for'] === undefined) return;
    // Fastify tells only whether it trusts any address.
    const trusted = typeof app?.get === 'function' ? app.get('trust proxy') : ips !== undefined && 'some';
    if (Boolean(trusted) && trusted !== true) return;
    this.#hasWarned = true;
    const why =
      trusted === true
        ? "'trust proxy' is true: then a client may write any address there, and so escapes its limit"
        : 'no proxy is trusted: behind a proxy, all clients share one limit';
    this.#logger.warn(
      `A request has the header X-Forwarded-For, but ${why}. ` +
        "Tell Express app.set('trust proxy', 1), or Fastify trustProxy: 1, with the number of your proxies",
    );
  }
}

function clientOf(context: ExecutionContext): Client | undefined {
  switch (context.getType<string>()) {
    case 'http':
    case 'ws':
      return context.getArgByIndex<Client | undefined>(0);
    case 'graphql': {
      const { req, request, reply, extra } = context.getArgByIndex<GraphqlContext | undefined>(2) ?? {};
      return req?.extra?.request ?? req ?? request ?? reply?.request ?? extra?.request;
    }
    default:
      return undefined;
  }
}

/** The first groups of an IPv6 address. A provider gives each customer at least these 64 bits. */
const GROUPS_KEPT = 4;

/**
 * The key under which `by: 'ip'` counts a client: an IPv4 address as it is, an IPv6 address by its /64 network. An IPv4 address in
 * IPv6 notation counts as IPv4. The port that some proxies add to an address (`192.0.2.1:5678`, `[2001:db8::1]:5678`) does not count.
 *
 * @example
 * await limits.reset(Login, addressKey(request.ip));
 */
export function addressKey(given: string): string {
  const address = withoutPort(given);
  if (!isIPv6(address)) return address;
  const groups = groupsOf(address);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 0xff])
      .join('.');
  }
  const network = groups.slice(0, GROUPS_KEPT).map((group) => group.toString(16));
  return `${network.join(':')}::/64`;
}

/** A proxy that writes ports gives each connection of a client another one, and so another limit. */
function withoutPort(address: string): string {
  const [, v4, v6] = /^(?:([\d.]+):\d+|\[([^\]]+)\](?::\d+)?)$/.exec(address) ?? [];
  return v4 ?? v6 ?? address;
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [text = ''] = address.split('%');
  const [before = '', after] = text.split('::');
  const head = hextets(before);
  const tail = after === undefined ? [] : hextets(after);
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

function hextets(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}
