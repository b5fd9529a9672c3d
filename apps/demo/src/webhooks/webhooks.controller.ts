import { Body, Controller, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { IsArray, IsInt, IsString } from 'class-validator';
import { QueueService } from 'nestjs-sluice';
import { Webhooks } from './webhooks.js';

class WebhooksDto {
  @IsString()
  partner!: string;

  @IsArray()
  @IsInt({ each: true })
  events!: number[];
}

@Controller('webhooks')
export class WebhooksController {
  constructor(private readonly queue: QueueService) {}

  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  async tell(@Body() { partner, events }: WebhooksDto): Promise<{ webhooks: number }> {
    const ids = await this.queue.publishMany(
      Webhooks,
      events.map((event) => ({ partner, event })),
    );
    return { webhooks: ids.length };
  }
}
