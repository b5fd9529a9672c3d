import type { Link } from '../../libs/redis/index.js';

/** From this delivery on a task runs alone in its process, if it may be delivered four times. */
const ISOLATED_FROM = 3;

export const isIsolated = ({ deliveries }: { readonly deliveries: number }): boolean => deliveries >= ISOLATED_FROM;

/** Whether a consumer has a task that runs alone: its process takes no other one then. */
export async function holdsIsolated(link: Link, stream: string, group: string, consumer: string): Promise<boolean> {
  type Pending = [string, string, number, number];
  const rows = await link.send<Pending[]>('xpending', [stream, group, '-', '+', 10_000, consumer]);
  return rows.some(([, , , deliveries]) => isIsolated({ deliveries }));
}
