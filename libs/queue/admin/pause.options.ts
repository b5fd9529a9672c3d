import { badOption, durationMs, flag, optional, resolveOptions, type Check } from '../../weave/index.js';

/** The options of `pause`. */
export interface PauseOptions {
  /**
   * Whether to wait until nothing of the queue runs any more: in the whole fleet, or with `here` in this process. Consumers of
   * other software count until they have acknowledged; a process that was killed counts until its lease has ended. Default false.
   */
  wait?: boolean;
  /** With `wait`: for how many milliseconds at most. Then the call rejects with `SLUICE_QUEUE_BUSY`. Default: no limit. */
  timeoutMs?: number;
  /** With `wait`: ends the waiting. The call rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Whether to pause the queue in this process alone, until `resume` with `here` or the end of the process. Default false. */
  here?: boolean;
}

/** The options of `resume`. */
export interface ResumeOptions {
  /** Whether to end the pause of this process alone. Default false: that of the whole fleet. */
  here?: boolean;
}

export type ResolvedPause = Readonly<Pick<PauseOptions, 'timeoutMs' | 'signal'> & { wait: boolean; here: boolean }>;

const signal: Check<AbortSignal | undefined> = (value, path) => {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw badOption(path, 'an AbortSignal', value);
};

/** @throws SluiceError `SLUICE_BAD_OPTION`, also for an option without effect */
export function checkPauseOptions(given: PauseOptions | undefined): ResolvedPause {
  const options = resolveOptions<ResolvedPause>('pause', given, {
    wait: flag(false),
    timeoutMs: optional(durationMs(1)),
    signal,
    here: flag(false),
  });
  for (const name of ['timeoutMs', 'signal'] as const) {
    if (!options.wait && options[name] !== undefined)
      throw badOption(`pause: ${name}`, 'left out without wait: true', options[name]);
  }
  return options;
}

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkResumeOptions(given: ResumeOptions | undefined): Readonly<Required<ResumeOptions>> {
  return resolveOptions<Required<ResumeOptions>>('resume', given, { here: flag(false) });
}
