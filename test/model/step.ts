import type { Place, World } from './queue.world.js';

/** Whether a task of a group may go from one place to another by this step. What it does not allow is a violation. */
export type Rule = (of: string, from: Place | undefined, to: Place) => boolean;

/** Does one thing to the world, drawing from `pick` what it needs, and tells what may have changed by it. */
export type Step = (world: World, pick: Pick) => Promise<Rule>;

/** Numbers from 0 up to `below`, the same for the same run. */
export type Pick = (below: number) => number;
