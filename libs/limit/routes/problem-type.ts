/** The media type of a problem (RFC 9457). */
export const PROBLEM_TYPE = 'application/problem+json';

/** The response of Node, behind that of Express. */
interface NodeResponse {
  readonly raw?: unknown;
  writeHead?: (...args: unknown[]) => unknown;
  getHeader(name: string): unknown;
  setHeader(name: string, value: string): unknown;
}

/**
 * Makes a JSON response a problem when its head is written. Under Express, the adapter of Nest 11 takes a media type for a mistake
 * that is set before the body of an error, replaces it, and logs a warning for each response.
 *
 * @returns false under other servers, where the header field is set as any other
 */
export function labelWhenWritten(response: NodeResponse): boolean {
  const { raw, writeHead } = response;
  if (raw !== undefined || writeHead === undefined) return false;
  response.writeHead = (...args) => {
    const type = response.getHeader('Content-Type');
    if (typeof type === 'string' && type.startsWith('application/json'))
      response.setHeader('Content-Type', PROBLEM_TYPE);
    return Reflect.apply(writeHead, response, args);
  };
  return true;
}
