/** Routes with decorated methods keep their types: for Swagger's document, and for what validates parameters. */
import assert from 'node:assert/strict';
import { Controller, Get, Param, ParseIntPipe, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ApiOperation, ApiProperty, ApiResponse, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { CacheStampedeSafe, WithLock } from 'nestjs-sluice';
import { check, moduleOf, sluice } from './check.js';

class Product {
  @ApiProperty() id!: number;
  @ApiProperty() name!: string;
}

@Controller('products')
class Products {
  static loads = 0;

  @Get(':id')
  @ApiOperation({ summary: 'One product' })
  @ApiResponse({ status: 200, type: Product })
  @CacheStampedeSafe({ key: (id: number) => `product:${id}` })
  async one(@Param('id', ParseIntPipe) id: number, @Query('lang') _lang: string): Promise<Product> {
    return { id, name: `product ${id} of load ${++Products.loads}` };
  }

  @WithLock('count')
  @Get()
  async count(): Promise<number> {
    return 1;
  }
}

export const documented = (): Promise<void> =>
  check('Swagger documents decorated routes, which answer', async () => {
    const app = await NestFactory.create(moduleOf({ imports: [sluice('swagger')], controllers: [Products] }), {
      logger: ['error', 'warn'],
    });
    const { paths } = SwaggerModule.createDocument(app, new DocumentBuilder().build());
    const one = paths['/products/{id}']?.get;
    assert.equal(one?.summary, 'One product');
    assert.deepEqual(
      one.parameters?.map((each) => [
        (each as { name: string }).name,
        (each as { schema: { type: string } }).schema.type,
      ]),
      [
        ['id', 'number'],
        ['lang', 'string'],
      ],
    );
    assert.ok(paths['/products']?.get);
    await app.listen(0, '127.0.0.1');
    const get = async (path: string) => (await fetch(`${await app.getUrl()}/products${path}`)).text();
    assert.equal(await get('/7'), '{"id":7,"name":"product 7 of load 1"}');
    assert.equal(await get('/7'), '{"id":7,"name":"product 7 of load 1"}');
    assert.equal(await get(''), '1');
    await app.close();
  });
