import { Injectable } from '@nestjs/common';
import { settings } from '../settings.js';

export interface Charge {
  id: string;
  amountCents: number;
  card: string;
}

/** The payment gateway: a service somewhere else that is slow at times, and fails at times. */
@Injectable()
export class PaymentsService {
  /** Charges once, however often it is asked to: the gateway knows a charge by its id. */
  async charge(charge: Charge, signal: AbortSignal): Promise<void> {
    await this.post('charges', charge, signal);
  }

  /** Gives back what was charged, once, however often it is asked to. */
  async refund(id: string, signal: AbortSignal): Promise<void> {
    await this.post('refunds', { id }, signal);
  }

  private async post(path: string, body: object, signal: AbortSignal): Promise<void> {
    const response = await fetch(`${settings.gatewayUrl}/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': settings.instance },
      body: JSON.stringify(body),
      signal,
    });
    if (!response.ok) throw new Error(`the gateway answered ${response.status}: ${await response.text()}`);
  }
}
