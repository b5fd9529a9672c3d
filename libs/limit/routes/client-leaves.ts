import { HttpException, type ExecutionContext } from '@nestjs/common';

/** As nginx has it: the client has closed its request. Nobody gets this answer. */
const CLIENT_CLOSED_REQUEST = 499;

class ClientLeftException extends HttpException {
  constructor() {
    super('The client left while its call waited for its turn', CLIENT_CLOSED_REQUEST);
  }
}

interface HttpResponse {
  readonly closed?: boolean;
  /** The response of Node, behind that of Fastify. */
  readonly raw?: HttpResponse;
  once(event: 'close', listener: () => void): unknown;
  off(event: 'close', listener: () => void): unknown;
}

/** The wait of one call for its turn. */
export interface ClientWait {
  /** Aborts when the client leaves. Its reason is the exception of the call. */
  readonly signal: AbortSignal;
  /** The wait is over. */
  readonly end: () => void;
}

/**
 * Watches the client of a call before it is answered. Under HTTP only: elsewhere, no request stands for a call.
 */
export function watchClient(context: ExecutionContext): ClientWait | undefined {
  if (context.getType() !== 'http') return undefined;
  const response = context.switchToHttp().getResponse<HttpResponse>();
  const raw = response.raw ?? response;
  const controller = new AbortController();
  const left = (): void => {
    controller.abort(new ClientLeftException());
  };
  // A guard before this one may have taken its time.
  if (raw.closed === true) left();
  raw.once('close', left);
  return { signal: controller.signal, end: () => void raw.off('close', left) };
}
