import { Controller, Get, Param } from '@nestjs/common';
import { CatalogService } from './catalog.service.js';
import type { Product } from './product.js';

@Controller('products')
export class CatalogController {
  constructor(private readonly catalog: CatalogService) {}

  @Get(':id')
  async find(@Param('id') id: string): Promise<Product> {
    return this.catalog.product(id);
  }
}
