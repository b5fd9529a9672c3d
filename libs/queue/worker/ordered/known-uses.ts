import { ORDER } from '../../store/scripts/uses.fragment.js';

/** The features in `uses` but the order, as text; undefined: there is none. */
export function withoutOrder(uses: string | undefined): string | undefined {
  const left = uses?.split(',').filter((each) => !each.startsWith(`${ORDER}@`));
  return left === undefined || left.length === 0 ? undefined : left.join(',');
}
