import { Body, Controller, Get, NotFoundException, Param, ParseIntPipe, Patch } from '@nestjs/common';
import { CatalogService } from './catalog.service.js';
import { SearchService } from '../search/search.service.js';
import { ChangeProductDto } from './change-product.dto.js';
import type { Bestseller, Overview, Product } from './product.js';

@Controller()
export class CatalogController {
  constructor(
    private readonly catalog: CatalogService,
    private readonly search: SearchService,
  ) {}

  @Get('catalog')
  async overview(): Promise<Overview> {
    return this.catalog.overview();
  }

  @Get('products/:id')
  async product(@Param('id', ParseIntPipe) id: number): Promise<Product> {
    return found(await this.catalog.product(id), id);
  }

  @Patch('products/:id')
  async change(@Param('id', ParseIntPipe) id: number, @Body() change: ChangeProductDto): Promise<Product> {
    const product = found(await this.catalog.change(id, change), id);
    await this.search.changed(id);
    return product;
  }

  @Get('categories/:id/bestsellers')
  async bestsellers(@Param('id', ParseIntPipe) id: number): Promise<Bestseller[]> {
    return this.catalog.bestsellers(id);
  }
}

function found(product: Product | null, id: number): Product {
  if (!product) throw new NotFoundException(`there is no product ${id}`);
  return product;
}
