import { defineQueue } from 'nestjs-sluice/queue';

/** A task of an ordered queue. */
export interface Keyed {
  key: string;
  n: number;
}

export const Ordered = defineQueue<Keyed>('tasks', { orderingKey: ({ key }) => key });
export const Stopping = defineQueue<Keyed>('tasks', { orderingKey: ({ key }) => key, afterDeadLetter: 'stop' });
