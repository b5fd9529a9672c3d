import { type AppBinder, processState } from './process-state.js';
import { SluiceError } from '../sluice.error.js';

/** The token under which an app provides its explorer. */
export const WEAVE_EXPLORER = 'sluice:weave-explorer';

/** A Nest app, an application context, a testing module or a `ModuleRef`: an object that can look up a provider. */
export interface ProviderLookup {
  get(token: string, options: { strict: false }): unknown;
}

/**
 * Binds an object that Nest never sees (made with `new`, by an ORM, by a request-scoped factory), so that its
 * decorated methods work. Returns the object. An object whose class has no decorated method stays as it is. Methods that were
 * copied from another class (mixins by hand) do not count as decorated: decorate the methods of the class itself.
 *
 * Without `app`, the object is bound to the only running app of the process.
 *
 * @throws SluiceError `SLUICE_NOT_BOUND` if no app is running or the app has no Sluice, `SLUICE_AMBIGUOUS_APP` if
 *   several apps run and `app` is missing, `SLUICE_BOUND_TWICE` if the object already works for another running app
 *
 * @example
 * const importer = bindSluice(new Importer(file));
 * await importer.run(); // takes its @WithLock
 */
export function bindSluice<T extends object>(instance: T, app?: ProviderLookup): T {
  (app ? explorerOf(app) : onlyApp()).bind(instance);
  return instance;
}

function explorerOf(app: ProviderLookup): AppBinder {
  try {
    return app.get(WEAVE_EXPLORER, { strict: false }) as AppBinder;
  } catch (cause) {
    throw new SluiceError('SLUICE_NOT_BOUND', 'bindSluice: this app has no Sluice in it. Import SluiceModule.', {
      cause,
    });
  }
}

function onlyApp(): AppBinder {
  const booted = [...processState.apps].filter(({ hasBooted }) => hasBooted);
  const [app, ...others] = booted.length > 0 ? booted : processState.apps;
  if (!app) {
    throw new SluiceError(
      'SLUICE_NOT_BOUND',
      'bindSluice: no app with SluiceModule is running in this process (one runs from its init hooks to the end of ' +
        'its shutdown). Call it later, or name the app: bindSluice(object, app), where a ModuleRef will do.',
    );
  }
  if (others.length > 0) {
    throw new SluiceError(
      'SLUICE_AMBIGUOUS_APP',
      `bindSluice: ${others.length + 1} apps are running in this process. Name one: bindSluice(object, app), where a ` +
        'ModuleRef will do.',
    );
  }
  return app;
}
