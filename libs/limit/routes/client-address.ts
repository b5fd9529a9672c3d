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

  /** All clients behind a proxy have its address, unless the server trusts the proxy: then they share one limit. */
  #warnOfProxy({ headers, app, ips, ip }: Client): void {
    if (this.#hasWarned || ip === undefined || headers?.['x-forwarded-for'] === undefined) return;
    const trusts = typeof app?.get === 'function' ? Boolean(app.get('trust proxy')) : ips !== undefined;
    if (trusts) return;
    this.#hasWarned = true;
    this.#logger.warn(
      'A request has the header X-Forwarded-For, but no proxy is trusted: behind a proxy, all clients share one limit. ' +
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
 * IPv6 notation counts as IPv4.
 *
 * @example
 * await limits.reset(Login, addressKey(request.ip));
 */
export function addressKey(address: string): string {
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
