import { unknownUses, type Link } from '../../../redis/index.js';
import { SluiceError } from '../../../weave/index.js';
import { ORDER, PACES, PLACES } from '../../store/scripts/uses.fragment.js';
import { endOrderScript, useOrderScript } from '../../store/scripts/use-order.script.js';
import type { Worker } from '../worker.js';

/** The release that brought the order by key. */
const SINCE = '0.1.0';

/** Whether the worker leaves its queue alone because the queue is ordered, and the handler is not. */
function isMisfit({ handler, lease }: Pick<Worker, 'handler' | 'lease'>): boolean {
  return handler.options.ordering === undefined && namesOrder(lease.unknown);
}

function namesOrder(uses: string | undefined): boolean {
  return uses !== undefined && unknownUses(uses).some(({ feature }) => feature === ORDER);
}

/**
 * Agrees with Redis on whether the queue is ordered, before its worker is opened. Resolves to the milliseconds until the worker may read.
 * For a worker without an order on an ordered queue, the order ends if nothing of it is left. Otherwise `lease.unknown` stays.
 */
export async function agreeOnOrder(worker: Worker, link: Link): Promise<number> {
  const { handler, lease, keys } = worker;
  const { uses, alive, stream, side } = keys;
  const { ordering, perKey, rateLimit } = handler.options;
  const isOver =
    ordering === undefined &&
    namesOrder(lease.unknown) &&
    (await endOrderScript.run(link, { keys: { uses, alive, stream }, args: { side } }));
  if (isOver) await lease.look();
  if (lease.unknown !== undefined) return 0;
  const features = [ordering ? ORDER : perKey && PLACES, rateLimit?.by && PACES].filter((each) => each !== undefined);
  const waits = features.map((feature) =>
    useOrderScript.run(link, { keys: { uses, alive }, args: { feature, release: SINCE } }),
  );
  return Math.max(0, ...(await Promise.all(waits)));
}

/** @throws SluiceError `SLUICE_BAD_OPTION` if a queue is ordered in Redis, and its handler here is not */
export function refuseMisfits(workers: readonly Worker[]): void {
  const [first] = workers.filter(isMisfit);
  if (first === undefined) return;
  const { queue, site } = first.handler;
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `queue '${queue}' is ordered by key in Redis, and its handler ${site} is not: give the definition with the orderingKey to @TaskHandler. To ` +
      'end the order, let the ordered processes finish all tasks, stop them, and start this one when their leases have ended',
  );
}
