import { Body, Controller, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { IsArray, IsBoolean, IsInt } from 'class-validator';
import { QueueService } from 'nestjs-sluice';
import { Parcels } from './parcels.js';

class ParcelsDto {
  @IsArray()
  @IsInt({ each: true })
  orderIds!: number[];

  /** Whether they leave today. */
  @IsBoolean()
  express!: boolean;
}

@Controller('parcels')
export class ParcelsController {
  constructor(private readonly queue: QueueService) {}

  /** What leaves today does not wait behind a backlog. The backlog still gets its share. */
  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  async label(@Body() { orderIds, express }: ParcelsDto): Promise<{ parcels: number }> {
    const parcels = orderIds.map((orderId) => ({ orderId }));
    const ids = await this.queue.publishMany(Parcels, parcels, { priority: express ? 'high' : 'low' });
    return { parcels: ids.length };
  }
}
