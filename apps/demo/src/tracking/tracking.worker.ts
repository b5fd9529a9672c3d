import { Injectable } from '@nestjs/common';
import { TaskHandler, type Task } from 'nestjs-sluice';
import { settings } from '../settings.js';
import { Scans, type Scan } from './tracking.js';

@Injectable()
export class TrackingWorker {
  /** While a scan is tried again, the later ones of its parcel wait, and other parcels go on. */
  @TaskHandler(Scans, { backoff: 50 })
  async note({ payload, signal }: Task<Scan>): Promise<void> {
    const response = await fetch(`${settings.gatewayUrl}/scans`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': settings.instance },
      body: JSON.stringify(payload),
      signal,
    });
    if (!response.ok) throw new Error(`the tracking page answered ${response.status}: ${await response.text()}`);
  }
}
