import { Injectable } from '@nestjs/common';
import { TaskHandler, type Task } from 'nestjs-sluice';
import { settings } from '../settings.js';
import { Webhooks, type Webhook } from './webhooks.js';

@Injectable()
export class WebhooksWorker {
  /** What one partner takes from all our processes together. A partner with many events, or a slow one, holds up no other. */
  @TaskHandler(Webhooks, {
    concurrency: { perKey: 2, by: 'partner' },
    rateLimit: { limit: 5, perMs: 500, by: 'partner' },
  })
  async tell({ id, payload, signal }: Task<Webhook>): Promise<void> {
    const response = await fetch(`${settings.gatewayUrl}/webhooks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': settings.instance },
      body: JSON.stringify({ id, ...payload }),
      signal,
    });
    if (!response.ok) throw new Error(`the partner answered ${response.status}: ${await response.text()}`);
  }
}
