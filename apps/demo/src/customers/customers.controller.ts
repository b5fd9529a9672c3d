import { Controller, Get, Param, ParseIntPipe } from '@nestjs/common';
import { CustomersService, type Dashboard } from './customers.service.js';

@Controller('customers')
export class CustomersController {
  constructor(private readonly customers: CustomersService) {}

  @Get(':id/dashboard')
  async dashboard(@Param('id', ParseIntPipe) id: number): Promise<Dashboard> {
    return this.customers.dashboard(id);
  }
}
