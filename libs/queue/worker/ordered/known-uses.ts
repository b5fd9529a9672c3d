import { ORDER, PLACES } from '../../store/scripts/uses.fragment.js';

/** The features in `uses` but those with which the worker can do, as text; undefined: there is none. */
export function withoutKnown(uses: string | undefined, ordered: boolean): string | undefined {
  const left = uses
    ?.split(',')
    .filter((each) => !each.startsWith(`${PLACES}@`) && !(ordered && each.startsWith(`${ORDER}@`)));
  return left === undefined || left.length === 0 ? undefined : left.join(',');
}
