export interface Reply {
  /** 0 if there was no answer. */
  status: number;
  body: unknown;
  tookMs: number;
}

/** Far longer than an answer takes, on a machine that is ten times slower. */
const ANSWERED_WITHIN_MS = 60_000;

export async function get(url: string): Promise<Reply> {
  return request(url, {});
}

export async function post(url: string, body: object): Promise<Reply> {
  return request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

async function request(url: string, init: RequestInit): Promise<Reply> {
  const started = performance.now();
  const tookMs = (): number => Math.round(performance.now() - started);
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWERED_WITHIN_MS) });
    return { status: response.status, body: await response.json(), tookMs: tookMs() };
  } catch (error) {
    return { status: 0, body: String(error), tookMs: tookMs() };
  }
}
