import { Module } from '@nestjs/common';
import { DatabaseModule } from '../database/database.module.js';
import { SearchModule } from '../search/search.module.js';
import { CatalogController } from './catalog.controller.js';
import { CatalogService } from './catalog.service.js';

@Module({ imports: [DatabaseModule, SearchModule], controllers: [CatalogController], providers: [CatalogService] })
export class CatalogModule {}
