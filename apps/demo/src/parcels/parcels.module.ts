import { Module } from '@nestjs/common';
import { ParcelsController } from './parcels.controller.js';
import { ParcelsWorker } from './parcels.worker.js';

@Module({ controllers: [ParcelsController], providers: [ParcelsWorker] })
export class ParcelsModule {}
