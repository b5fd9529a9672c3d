import { defineQueue } from 'nestjs-sluice';

/** Something that a partner of the shop wants to know. */
export interface Webhook {
  partner: string;
  event: number;
}

export const Webhooks = defineQueue<Webhook>('webhooks');
