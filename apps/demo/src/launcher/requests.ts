import { once } from 'node:events';
import { request as open, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';

export interface Reply {
  /** 0 if there was no answer. */
  status: number;
  body: unknown;
  headers: IncomingHttpHeaders;
  tookMs: number;
}

/** Far longer than an answer takes, on a machine that is ten times slower. */
const ANSWERED_WITHIN_MS = 300_000;

export async function get(url: string): Promise<Reply> {
  return request(url, 'GET');
}

export async function post(url: string, body: object): Promise<Reply> {
  return request(url, 'POST', JSON.stringify(body));
}

export async function patch(url: string, body: object): Promise<Reply> {
  return request(url, 'PATCH', JSON.stringify(body));
}

/** DELETE. */
export async function remove(url: string): Promise<Reply> {
  return request(url, 'DELETE');
}

/** The lines of an answer, while they come. */
export async function* lines(url: string): AsyncGenerator<string> {
  const sent = open(url, { agent: false, timeout: ANSWERED_WITHIN_MS });
  sent.end();
  const [reply] = (await once(sent, 'response')) as [IncomingMessage];
  // Whoever has read enough ends the answer in the middle.
  sent.on('error', () => {});
  let rest = '';
  for await (const text of reply.setEncoding('utf8')) {
    const all = (rest + String(text)).split('\n');
    rest = all.pop() ?? '';
    yield* all;
  }
}

/** Not `fetch`, which gives up a connection after 10 s: an instance of a busy machine may take longer. */
async function request(url: string, method: string, body = ''): Promise<Reply> {
  const started = performance.now();
  const tookMs = (): number => Math.round(performance.now() - started);
  try {
    const sent = open(url, {
      method,
      // A connection of its own: a kept one may be closed by the instance just when it is used.
      agent: false,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      signal: AbortSignal.timeout(ANSWERED_WITHIN_MS),
    });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const { statusCode: status = 0, headers } = response;
    return { status, headers, body: await json(response), tookMs: tookMs() };
  } catch (error) {
    return { status: 0, headers: {}, body: String(error), tookMs: tookMs() };
  }
}
