import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  HttpStatus,
  Param,
  Post,
  ServiceUnavailableException,
  Sse,
  type MessageEvent,
} from '@nestjs/common';
import { IsInt, IsString } from 'class-validator';
import { filter, map, type Observable } from 'rxjs';
import { QueueFullError, QueueService } from 'nestjs-sluice';
import { Invoices, YearlyExports, type Invoice } from './invoices.js';

class InvoiceDto {
  @IsString()
  orderId!: string;
}

class ExportDto {
  @IsInt()
  year!: number;
}

@Controller()
export class InvoicesController {
  constructor(private readonly queue: QueueService) {}

  /** Answers with what the handler returned; 503 if too many wait already. */
  @Post('invoices')
  async invoice(@Body() { orderId }: InvoiceDto): Promise<Invoice> {
    try {
      return await this.queue.publishAndWait(Invoices, { orderId }, { timeoutMs: 600_000 });
    } catch (error) {
      if (error instanceof QueueFullError) throw new ServiceUnavailableException('too many invoices wait');
      throw error;
    }
  }

  @Post('exports')
  @HttpCode(HttpStatus.ACCEPTED)
  async exportYear(@Body() { year }: ExportDto): Promise<{ id: string }> {
    return { id: await this.queue.publish(YearlyExports, { year }) };
  }

  @Get('exports/:id')
  async state(@Param('id') id: string): Promise<{ state: string; progress?: unknown }> {
    const { state = 'gone', progress } = (await this.queue.inspect(YearlyExports, id)) ?? {};
    return { state, progress };
  }

  /** How far it is, live: `new EventSource('/exports/…/live')` in a browser. */
  @Sse('exports/:id/live')
  live(@Param('id') id: string): Observable<MessageEvent> {
    return this.queue.events(YearlyExports).pipe(
      filter((event) => event.type !== 'gap' && event.id === id),
      map((event) => ({ type: event.type, data: event })),
    );
  }

  /** Ends it wherever it is: it is removed if it waits, and its signal aborts if it runs. */
  @Delete('exports/:id')
  async cancel(@Param('id') id: string): Promise<{ outcome: string }> {
    return { outcome: await this.queue.cancel(YearlyExports, id) };
  }
}
