import { Controller, Get, Param, ParseIntPipe } from '@nestjs/common';
import type { Request } from 'express';
import { RateLimit, fromContext } from 'nestjs-sluice';
import { CreditChecks } from './credit.limits.js';
import { CreditService, type Rating } from './credit.service.js';

const customer = fromContext((context) => {
  const { id } = context.switchToHttp().getRequest<Request>().params;
  return `customer ${String(id)}`;
});

@Controller('customers')
export class CreditController {
  constructor(private readonly credit: CreditService) {}

  /** 429 with Retry-After, once the customer's limit is used up. Every answer says what is left of it. */
  @Get(':id/credit')
  @RateLimit(CreditChecks, { by: customer })
  async rating(@Param('id', ParseIntPipe) id: number): Promise<Rating> {
    return this.credit.rating(id);
  }
}
