import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface JsonRequest {
  method: string;
  path: string;
  /** The process that asks, as it names itself. */
  by: string;
  body: unknown;
  /** Aborts when the process that asked is gone. */
  gone: AbortSignal;
}

export interface JsonReply {
  status: number;
  body: unknown;
}

/** An HTTP server on a free loopback port that speaks JSON. */
export interface JsonServer {
  url: string;
  close(): Promise<void>;
}

export async function serveJson(answer: (request: JsonRequest) => Promise<JsonReply>): Promise<JsonServer> {
  const server = createServer((request, response) => {
    void respond(request, response, answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (request: JsonRequest) => Promise<JsonReply>,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableEnded) gone.abort();
  });
  try {
    const { status, body } = await answer({
      method: request.method ?? '',
      path: request.url ?? '',
      by: request.headers['user-agent'] ?? 'unknown',
      body: await read(request),
      gone: gone.signal,
    });
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  } catch {
    // Whoever asked is gone, or sent no JSON.
    response.destroy();
  }
}

async function read(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  return text === '' ? undefined : JSON.parse(text);
}
