import { Injectable } from '@nestjs/common';
import { TaskHandler, type Task } from 'nestjs-sluice';
import { settings } from '../settings.js';
import { Parcels, type Parcel } from './parcels.js';

@Injectable()
export class ParcelsWorker {
  /** One handler for all levels. The carrier knows a label by its id, and makes it once. */
  @TaskHandler(Parcels, { concurrency: 4 })
  async label({ id, payload, signal }: Task<Parcel>): Promise<void> {
    const response = await fetch(`${settings.gatewayUrl}/labels`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': settings.instance },
      body: JSON.stringify({ id, ...payload }),
      signal,
    });
    if (!response.ok) throw new Error(`the carrier answered ${response.status}: ${await response.text()}`);
  }
}
