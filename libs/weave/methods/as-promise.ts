/** The outcome of `run` as a promise. If `run` throws, the promise rejects with that very error (`===`). */
export function asPromise(run: () => unknown): Promise<unknown> {
  try {
    return Promise.resolve(run());
  } catch (error) {
    const reason = error as Error;
    return Promise.reject(reason);
  }
}
