import { Body, Controller, Get, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { IsInt, IsString } from 'class-validator';
import { QueueService } from 'nestjs-sluice';
import { Scans, type Scan } from './tracking.js';

class ScanDto {
  @IsString()
  parcel!: string;

  @IsInt()
  station!: number;
}

@Controller('scans')
export class TrackingController {
  constructor(private readonly queue: QueueService) {}

  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  async scan(@Body() { parcel, station }: ScanDto): Promise<{ id: string }> {
    return { id: await this.queue.publish(Scans, { parcel, station }) };
  }

  /** The last scans that were handled, newest first. */
  @Get()
  async handled(): Promise<(Scan & { attempts: number })[]> {
    const { tasks } = await this.queue.history(Scans, { limit: 200 });
    return tasks.flatMap(({ payload, attempts }) => (payload ? [{ ...payload, attempts }] : []));
  }
}
