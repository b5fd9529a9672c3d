/** Nest provider token of `QueueService`. */
export const QUEUE_SERVICE = 'sluice:queue-service';

/** Nest provider token of the checked options. */
export const QUEUE_OPTIONS = 'sluice:resolved-queue-options';
