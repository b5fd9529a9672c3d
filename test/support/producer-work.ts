/** How long the shortest task of test/apps/queue-producer.ts takes. */
export const SHORTEST_MS = 10;
