/** A caching library as the interleavings see it: its public methods, and what it says it can do. */
export interface Rival {
  /** What is cached under the key, or what `load` makes, for a minute. */
  getOrLoad(key: string, load: () => Promise<string>, tag: string): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  /** Only of who offers tags. */
  invalidateTag?(tag: string): Promise<unknown>;
  close(): Promise<void>;
}

/** What a library may leave out without being wrong. */
export type Feature = 'one load for all processes' | 'tags' | 'local copies that hear of changes';

/** A library under comparison. */
export interface Contender {
  name: string;
  /** What it does not claim to do, and why, in the words of the table. */
  lacks: Partial<Record<Feature, string>>;
}
