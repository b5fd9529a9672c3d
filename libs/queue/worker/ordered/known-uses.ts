import { ORDER, PACES, PLACES } from '../../store/scripts/uses.fragment.js';

/** The features in `uses` but those with which the worker can do, as text; undefined: there is none. */
export function withoutKnown(uses: string | undefined, ordered: boolean): string | undefined {
  const known = [PLACES, PACES, ...(ordered ? [ORDER] : [])];
  const left = uses?.split(',').filter((each) => !known.some((name) => each.startsWith(`${name}@`)));
  return left === undefined || left.length === 0 ? undefined : left.join(',');
}
