/** The levels of priority, the most urgent one first. */
export const LEVELS = ['high', 'normal', 'low'] as const;

/** How urgent a task is. */
export type Priority = (typeof LEVELS)[number];

/**
 * The name of a level's place. `normal` is the queue's own stream, so that a queue without priorities, and clients of other software,
 * know nothing of levels. The names of the others have the reserved marker: no caller can give such a name.
 */
export function placeOf(queue: string, level: Priority): string {
  return level === 'normal' ? queue : `${queue}:~${level}`;
}

/** The places of a queue that has levels, or may have them in another process. */
export function placesOf(queue: string): readonly string[] {
  return LEVELS.map((level) => placeOf(queue, level));
}

/** The queue and the level of a place. */
export function partsOfPlace(place: string): { readonly queue: string; readonly level: Priority } {
  const [, queue = place, level] = /^(.+):~(high|low)$/s.exec(place) ?? [];
  return { queue, level: (level as Priority | undefined) ?? 'normal' };
}
