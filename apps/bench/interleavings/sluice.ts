import { CacheService } from 'nestjs-sluice';
import type { Rival } from '../../../test/support/interleavings/rival.js';
import { startApp } from '../app.js';

export async function sluice(url: string): Promise<Rival> {
  const app = await startApp(url, { cache: { readTimeoutMs: 5_000 } });
  const cache = app.get(CacheService);
  return {
    getOrLoad: (key, load, tag) => cache.getOrLoad(key, load, { tags: [tag] }),
    delete: (key) => cache.delete(key),
    invalidateTag: (tag) => cache.invalidateTags(tag),
    close: () => app.close(),
  };
}
