import { Injectable } from '@nestjs/common';
import { RateLimit } from 'nestjs-sluice';
import { settings } from '../settings.js';
import { Agency } from './credit.limits.js';

export interface Rating {
  customerId: number;
  score: number;
}

/** The credit agency: a partner that allows so many calls a second. */
@Injectable()
export class CreditService {
  /** Called when its turn has come, in the order of arrival in all processes. */
  @RateLimit(Agency, { maxWaitMs: 60_000 })
  async rating(customerId: number): Promise<Rating> {
    const response = await fetch(`${settings.gatewayUrl}/ratings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': settings.instance },
      body: JSON.stringify({ id: customerId }),
    });
    if (!response.ok) throw new Error(`the agency answered ${response.status}: ${await response.text()}`);
    const { score } = (await response.json()) as { score: number };
    return { customerId, score };
  }
}
