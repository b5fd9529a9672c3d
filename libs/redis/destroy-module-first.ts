import type { ModulesContainer } from '@nestjs/core';

/**
 * Has Nest take a module down before all others, wherever it is imported: what takes work must stop while everything that
 * the work needs is alive, providers of the root module included. To be called while the module is constructed.
 *
 * Nest calls `onModuleDestroy` module by module, the nearest to the root first, by each one's `distance`, which it reads
 * after all is constructed; the root's own is the smallest there is. A Nest without distances (11 and 12 have them)
 * would keep to the order of imports.
 */
export function destroyModuleFirst(modules: ModulesContainer, moduleClass: object): void {
  for (const module of modules.values()) if (module.metatype === moduleClass) module.distance = -1;
}
