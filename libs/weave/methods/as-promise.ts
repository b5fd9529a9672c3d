/** The outcome of `run` as a promise: its own promise if it returned one; what it threw is the rejection, `===`. */
export function asPromise(run: () => unknown): Promise<unknown> {
  try {
    return Promise.resolve(run());
  } catch (error) {
    const reason = error as Error;
    return Promise.reject(reason);
  }
}
