import { Module } from '@nestjs/common';
import { DatabaseModule } from '../database/database.module.js';
import { SearchService } from './search.service.js';
import { SearchWorker } from './search.worker.js';

@Module({ imports: [DatabaseModule], providers: [SearchService, SearchWorker], exports: [SearchService] })
export class SearchModule {}
