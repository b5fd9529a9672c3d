import { HttpException, type ExecutionContext } from '@nestjs/common';

/** As nginx has it: the client has closed its request. Nobody gets this answer. */
const CLIENT_CLOSED_REQUEST = 499;

/** The end of a call whose client has left before it was admitted. */
export class ClientLeftException extends HttpException {
  constructor() {
    super('The client left before its call was admitted', CLIENT_CLOSED_REQUEST);
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

function responseOf(context: ExecutionContext): HttpResponse | undefined {
  if (context.getType() !== 'http') return undefined;
  const response = context.switchToHttp().getResponse<HttpResponse>();
  return response.raw ?? response;
}

/** Whether the client of a request is gone. Its address is not known any more. Under HTTP only. */
export function hasLeft(context: ExecutionContext): boolean {
  return responseOf(context)?.closed === true;
}

/**
 * Watches the client of a call before it is answered. Under HTTP only: elsewhere, no request stands for a call.
 */
export function watchClient(context: ExecutionContext): ClientWait | undefined {
  const response = responseOf(context);
  if (response === undefined) return undefined;
  const controller = new AbortController();
  const left = (): void => {
    controller.abort(new ClientLeftException());
  };
  // A guard before this one may have taken its time.
  if (response.closed === true) left();
  response.once('close', left);
  return { signal: controller.signal, end: () => void response.off('close', left) };
}
