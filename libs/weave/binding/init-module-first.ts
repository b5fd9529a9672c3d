import type { ModulesContainer } from '@nestjs/core';

/**
 * Makes Nest initialise a module before all others and shut it down after them, global modules included, wherever it is
 * imported. Call this function while the module is constructed.
 *
 * Nest runs the hooks module by module, in the order of their `distance`. It reads the distance after all modules are
 * constructed. All global modules have the distance `Number.MAX_VALUE`, so the order of imports would decide among them.
 */
export function initModuleFirst(modules: ModulesContainer, moduleClass: object): void {
  for (const module of modules.values()) if (module.metatype === moduleClass) module.distance = Infinity;
}
